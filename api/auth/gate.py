"""The gate of /v1: authenticates and counts callers before the body is read or a route is matched.

It also limits the size of a body before anything parses it.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth.rate_limits import TooManyCalls
from api.http import problems
from api.http.body_limits import body_limit, check_announced, limited
from api.http.threads import assign
from common.errors import ParaqueueError

GUARDED = "/v1"


class Gate:
    """Admits only authenticated callers. Plain ASGI, because FastAPI reads a body before a route's dependencies run."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http" or not guarded(scope["path"]):
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        service = request.app.state.service
        try:
            request.state.caller = await service.authenticator.caller(request)
            limit_headers = await service.rates.count(request.state.caller)
            assign(service.turns, request.state.caller.tenant)
            limit = body_limit(scope)
            if limit is not None:
                check_announced(scope, limit)
                receive = limited(receive, limit)
        except ParaqueueError as error:
            answer = problems.answer(request, error)
            if isinstance(error, TooManyCalls):
                answer.headers.update(error.headers)
            await answer(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(limit_headers)
            await send(message)

        await self._app(scope, receive, send_with_limits if limit_headers else send)


def guarded(path: str) -> bool:
    """Return whether a path requires credentials."""
    return path == GUARDED or path.startswith(GUARDED + "/")
