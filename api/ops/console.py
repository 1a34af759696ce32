"""The console at `/`: static files, read once at startup.

The page refers to its files by a directory name that changes with their content, so browsers may cache them forever.
"""

from __future__ import annotations

import gzip
import hashlib
import secrets
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import Response

from common.errors import NotFound

router = APIRouter(include_in_schema=False)
DIRECTORY = Path(__file__).resolve().parents[2] / "console"
INDEX = "index.html"
# The files that browsers load; the rest of the directory is only for checks.
SERVED = ("css", "js", "vendor", "icon.svg")
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
FOR_GOOD = "public, max-age=31536000, immutable"
SMALLEST_TO_PACK = 400
# The page runs only what we ship. The nonce is for wavesurfer.js, which inserts a <style> of its own.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-{nonce}'; img-src 'self' data: blob:; "
    "media-src 'self' blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file; `packed` is its gzip form, if compression is worthwhile."""

    body: bytes
    packed: bytes | None
    media_type: str


@dataclass(frozen=True, slots=True)
class Console:
    """The page as a template, and its files by path."""

    page: str
    version: str
    assets: dict[str, Asset]


@cache
def loaded() -> Console:
    """Load all files, some 300 kB. The version is a digest of every file."""
    files = [DIRECTORY / INDEX, *(path for name in SERVED for path in _files(DIRECTORY / name))]
    paths = {path.relative_to(DIRECTORY).as_posix(): path for path in sorted(files)}
    digest = hashlib.sha256()
    for name, path in paths.items():
        digest.update(name.encode() + b"\0" + path.read_bytes())
    version = digest.hexdigest()[:16]
    assets = {name: _asset(path) for name, path in paths.items() if path.suffix in TYPES}
    page = (DIRECTORY / INDEX).read_text().replace("{files}", f"console/{version}")
    preloads = (f'<link rel="modulepreload" href="console/{version}/{name}">' for name in assets if _is_module(name))
    return Console(page.replace("<!-- modules -->", "\n    ".join(preloads)), version, assets)


def _files(place: Path) -> list[Path]:
    return [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]


def _is_module(name: str) -> bool:
    return name.endswith(".js") and name != "js/early.js"


def _asset(path: Path) -> Asset:
    body = path.read_bytes()
    packed = gzip.compress(body, mtime=0) if len(body) >= SMALLEST_TO_PACK else None
    return Asset(body, packed, TYPES[path.suffix])


@router.api_route("/", methods=["GET", "HEAD"])
async def page() -> Response:
    """The page; everything else is loaded from it."""
    nonce = secrets.token_urlsafe(16)
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": POLICY.format(nonce=nonce),
        "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    }
    return Response(loaded().page.replace("{nonce}", nonce), headers=headers, media_type="text/html; charset=utf-8")


@router.api_route("/console/{version}/{name:path}", methods=["GET", "HEAD"])
async def asset(request: Request, version: str, name: str) -> Response:
    """A file of the page. During an upgrade the version may differ, which is better than an error."""
    console = loaded()
    asset = console.assets.get(name)
    if asset is None:
        raise NotFound(f"the console has no file {name!r}")
    headers = {"Cache-Control": FOR_GOOD if version == console.version else "no-store", "Vary": "Accept-Encoding"}
    if asset.packed is not None and "gzip" in request.headers.get("accept-encoding", ""):
        return Response(asset.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=asset.media_type)
    return Response(asset.body, headers=headers, media_type=asset.media_type)
