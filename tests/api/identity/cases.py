"""Keys, calls of all routes, and what their tests send."""

from __future__ import annotations

from typing import Any

import httpx
from fastapi.routing import RouteContext, iter_route_contexts

from api.auth import gate, visitors
from api.main import create_app
from common import keys
from common.keys import ALL_SCOPES, ApiKey, NewKey, Scope
from common.settings import Settings
from tests.api.api_cases import Api
from tests.api.upload_cases import PATCH

ROUTES = list(iter_route_contexts(create_app(Settings()).routes))
CALLS = [(method, route) for route in ROUTES for method in sorted(route.methods or ())]
BEHIND_THE_GATE = [(method, route) for method, route in CALLS if gate.guarded(route.path or "")]
VISITED = [(method, route) for method, route in BEHIND_THE_GATE if visitors.visited(route.path or "")]
GUARDED = [call for call in BEHIND_THE_GATE if call not in VISITED]
EXTRA = {**PATCH, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}


def named(call: tuple[str, RouteContext]) -> str:
    return f"{call[0]} {call[1].path}"


# Nothing is sent there: no light worker runs.
CHAT = {"summary_url": "https://chat.example.com/v1", "summary_model": "test"}


def key_of(api: Api, tenant: str = "acme", scopes: frozenset[Scope] = ALL_SCOPES, **more: Any) -> tuple[ApiKey, str]:
    return keys.create(api.database, NewKey("test", tenant, scopes, **more))


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def ask(api: Api, **headers: str) -> httpx.Response:
    """A call with exactly these headers."""
    return httpx.get(f"http://127.0.0.1:{api.port}/v1/transcriptions", headers=headers, trust_env=False)


def path_with(path: str, value: Any) -> str:
    """The path with its parameters filled in."""
    for name in [part[1:-1].partition(":")[0] for part in path.split("/") if part.startswith("{")]:
        path = path.replace(next(part for part in path.split("/") if part.startswith("{" + name)), value(name))
    return path


def filled(body: Any, things: dict[str, str]) -> Any:
    """The body with the ids of things in the places that name them."""
    if not isinstance(body, dict):
        return body
    return {key: things.get(str(value).strip("{}"), value) for key, value in body.items()}
