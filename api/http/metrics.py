"""Metrics of the API's own calls."""

from __future__ import annotations

import time
from functools import cache

from prometheus_client import Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import all_errors

REQUESTS = Counter(
    "paraqueue_http_requests_total",
    "Requests; `route` is `none` if none matches or the request was rejected before routing.",
    ["method", "route", "status"],
)
DURATION = Histogram(
    "paraqueue_http_request_duration_seconds",
    "Time from request headers to response headers, including the request body.",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900),
)
IN_PROGRESS = Gauge("paraqueue_http_requests_in_progress", "Requests in progress, with event streams.")
BODY_BYTES = Counter("paraqueue_http_request_body_bytes_total", "Bytes of request bodies.", ["route"])
ERRORS = Counter(
    "paraqueue_http_errors_total",
    "Error responses; `rate_limited` and `quota_exceeded` are rejections by a limit.",
    ["code"],
)
for _error in all_errors():
    ERRORS.labels(_error.code)  # exists from the start: a rate must begin at zero
RATE_LIMITS_LOCAL = Gauge(
    "paraqueue_rate_limits_local", "1 while this process counts calls alone because Redis does not respond in time."
)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
NO_ROUTE = "none"


class Measures:
    """Plain ASGI: counts requests and measures their duration by route template."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        measured = _Measured(scope, receive, send)
        IN_PROGRESS.inc()
        try:
            await self._app(scope, measured.receive, measured.send)
        finally:
            IN_PROGRESS.dec()
            measured.count()


class _Measured:
    """The measurements of one request."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._began = time.perf_counter()
        self._took: float | None = None
        self._status = 500  # if the app raises; the response is then created further out
        self._bytes = 0

    async def receive(self) -> Message:
        """Receive the next part of the body."""
        message = await self._receive()
        self._bytes += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Send the next part of the response."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._took = time.perf_counter() - self._began
        await self._send(message)

    def count(self) -> None:
        """Record the metrics of the finished request."""
        route = getattr(self._scope.get("route"), "path", None) or NO_ROUTE
        method = self._scope["method"] if self._scope["method"] in METHODS else "other"
        requests, duration, body_bytes = _counted(method, route, self._status)
        requests.inc()
        duration.observe(time.perf_counter() - self._began if self._took is None else self._took)
        if self._bytes:
            body_bytes.inc(self._bytes)


@cache  # one entry per series; a label lookup costs more than the counting
def _counted(method: str, route: str, status: int) -> tuple[Counter, Histogram, Counter]:
    return REQUESTS.labels(method, route, str(status)), DURATION.labels(route), BODY_BYTES.labels(route)
