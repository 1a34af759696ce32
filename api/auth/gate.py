"""The gate of /v1: authenticates and counts callers and visitors before a body is read or a route is matched.

It also limits the size of a body before anything parses it.
"""

from __future__ import annotations

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import visitors
from api.auth.rate_limits import TooManyCalls
from api.http import problems
from api.http.body_limits import body_limit, check_announced, limited
from api.http.threads import assign
from common.errors import ParaqueueError

GUARDED = "/v1"


class Gate:
    """Admits only authenticated callers, and visitors with a share link.

    Plain ASGI, because FastAPI reads a body before a route's dependencies run.
    """

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
            limit_headers = await _admit(request, service)
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


async def _admit(request: Request, service: Any) -> dict[str, str]:
    """Note who calls, and return the headers with the remaining calls. Raises what refuses the call."""
    headers: dict[str, str]
    if visitors.visited(request.scope["path"]):
        request.state.answer_headers = visitors.HEADERS
        if request.method not in visitors.METHODS:
            return {}  # there is no such call: 405, whatever the token
        request.state.visit, headers = await service.visitors.visit(request)
        assign(service.turns, visitors.room_of(request.state.visit))
        return headers
    request.state.caller = caller = await service.authenticator.caller(request)
    headers = await service.rates.count(caller.call_limits)
    assign(service.turns, caller.tenant)
    return headers


def guarded(path: str) -> bool:
    """Return whether a path requires credentials."""
    return path == GUARDED or path.startswith(GUARDED + "/")
