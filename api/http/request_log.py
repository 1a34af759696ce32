"""Request ids, one log line per request, and its trace span."""

from __future__ import annotations

import re
import time
from contextlib import AbstractContextManager, nullcontext
from random import getrandbits

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import ids
from common.telemetry import get_logger, tracing

log = get_logger(__name__)
ACCEPTED_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")
QUIET_PATHS = ("/health/", "/metrics")
# Some programs encode the `#` of a share link, so that its token arrives in a path; others put keys there by mistake.
SECRET = re.compile(r"(pq_[a-z]+_)[\w-]+")


class RequestLog:
    """Plain ASGI: Starlette's `BaseHTTPMiddleware` would interfere with streaming."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                # Headers that a whole group of routes sends with every response, errors included.
                headers.update(scope["state"].get("answer_headers", {}))
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id), _traced(scope, request_id) as span:
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                _end(span, scope, status)
                if not scope["path"].startswith(QUIET_PATHS) or status >= 400:
                    took_ms = round((time.perf_counter() - began) * 1000, 1)
                    # Log the path, never the query: links may carry signatures.
                    fields = {"method": scope["method"], "path": _path(scope), "status": status, "took_ms": took_ms}
                    log.info("request", **fields, **_who(scope))


def _traced(scope: Scope, request_id: str) -> AbstractContextManager[tracing.Span]:
    """Start a span in the caller's trace, if it sends one; no span for paths that are polled every few seconds."""
    if scope["path"].startswith(QUIET_PATHS):
        return nullcontext(tracing.Span())
    attributes = {"http.request.method": scope["method"], "url.path": _path(scope), "paraqueue.request_id": request_id}
    parent = Headers(scope=scope).get("traceparent")
    return tracing.span(scope["method"], kind="server", parent=parent, attributes=attributes)


def _path(scope: Scope) -> str:
    """Return the path of a request without keys and tokens."""
    return SECRET.sub(r"\1…", scope["path"])


def _end(span: tracing.Span, scope: Scope, status: int) -> None:
    """Add what is only known at the end of a request."""
    route = getattr(scope.get("route"), "path", None)
    if route is not None:
        span.rename(f"{scope['method']} {route}")
        span.tell({"http.route": route})
    span.tell({"http.response.status_code": status})
    if status >= 500:
        span.fail(str(status))


def _who(scope: Scope) -> dict[str, str]:
    """Identify the caller or visitor by ids; no key and no token is ever logged."""
    visit = scope["state"].get("visit")
    if visit is not None:
        return {"tenant": visit.tenant, "share_id": visit.public_id}
    caller = scope["state"].get("caller")
    if caller is None or caller.key_id is None:
        return {}
    return {"tenant": caller.tenant, "key_id": ids.shown(ids.KEY, caller.key_id)}


def _request_id(headers: Headers) -> str:
    """Return the caller's request id if it is safe to log, otherwise a new one."""
    given = headers.get("x-request-id", "")
    return given if ACCEPTED_ID.fullmatch(given) else f"{getrandbits(128):032x}"  # nobody need be unable to guess it
