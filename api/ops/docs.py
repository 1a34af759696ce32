"""`/docs`: interactive documentation of the API. Its script and style are served by us, not by a CDN."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

from common.errors import NotFound

router = APIRouter(prefix="/docs", include_in_schema=False)
# Only the package's files are used: Swagger UI as published.
STATIC = files("fastapi_offline") / "static"
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}


@router.get("")
def docs() -> HTMLResponse:
    """The page."""
    page = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="Paraqueue",
        swagger_js_url="docs/assets/swagger-ui-bundle.js",
        swagger_css_url="docs/assets/swagger-ui.css",
        swagger_favicon_url="docs/assets/favicon.png",
    )
    page.headers["Content-Security-Policy"] = _policy(bytes(page.body).decode())
    return page


@router.get("/assets/{name}")
def asset(name: str) -> Response:
    """A file that the page loads."""
    if name not in ASSETS:
        raise NotFound(f"the documentation has no file {name!r}")
    return Response((STATIC / name).read_bytes(), media_type=ASSETS[name], headers={"Cache-Control": "max-age=86400"})


def _policy(page: str) -> str:
    """Return the page's policy: it may run its own script and the inline one that starts it, and call this API."""
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in inline
    )
    return (
        "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; connect-src 'self'; "
        f"img-src 'self' data:; style-src 'self' 'unsafe-inline'; script-src 'self' {hashes}"
    )
