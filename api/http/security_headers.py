"""Security headers for browsers."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# The API returns data: nothing in it may be executed, framed or loaded.
STRICT = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class SecurityHeaders:
    """Plain ASGI, outside everything else; a route's own policy takes precedence."""

    def __init__(self, app: ASGIApp, *, shared: bool) -> None:
        """Wrap the app; with `shared`, pages of other origins may read the responses."""
        self._app = app
        self._always = {**ALWAYS, "Cross-Origin-Resource-Policy": "cross-origin"} if shared else ALWAYS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._always.items():
                    headers.setdefault(name, value)
                headers.setdefault("Content-Security-Policy", STRICT)
            await send(message)

        await self._app(scope, receive, send_with_headers)
