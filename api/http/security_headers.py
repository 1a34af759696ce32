"""Security headers for browsers."""

from __future__ import annotations

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
        always = {**ALWAYS, "Cross-Origin-Resource-Policy": "cross-origin"} if shared else ALWAYS
        every = {**always, "Content-Security-Policy": STRICT}
        self._every = [(name.lower().encode(), value.encode()) for name, value in every.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message.setdefault("headers", [])
                given = {name for name, _ in headers}
                message["headers"] = [*headers, *(item for item in self._every if item[0] not in given)]
            await send(message)

        await self._app(scope, receive, send_with_headers)
