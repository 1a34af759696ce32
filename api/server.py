"""uvicorn with timeouts for slow headers, slow bodies and slow readers.

uvicorn closes a connection that is idle between two requests, and waits forever for everything else. A waiting
connection costs no thread, but memory and a file descriptor, and both are limited.
"""

from __future__ import annotations

import asyncio
import socket
from types import FrameType
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from common.settings import ApiSettings

if TYPE_CHECKING:
    from api.deps import Service

SHUTDOWN_SECONDS = 30
HEAD_BYTES = 64 * 1024
# Otherwise the kernel would buffer 4 MiB for a client that reads nothing.
SEND_BYTES = 256 * 1024
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class IdleBodies:
    """Plain ASGI: aborts a request with a 408 if no part of its body arrives for some seconds."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        whole = scope["type"] != "http"

        async def patient() -> Message:
            nonlocal whole
            if whole:  # now waiting for the end of the connection
                return await receive()
            try:
                async with asyncio.timeout(self._seconds):  # unlike `wait_for`, without a task of its own
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408, f"no part of the request body was received for {self._seconds:.0f} s"
                ) from None
            whole = not message.get("more_body", False)
            return message

        await self._app(scope, patient, send)


class PatientProtocol(HttpToolsProtocol):
    """A connection with time limits for receiving the headers of a request, and for sending data to the client."""

    head_seconds: float
    stall_seconds: float

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout for the headers of a new connection."""
        super().connection_made(transport)
        endpoint: socket.socket | None = transport.get_extra_info("socket")
        if endpoint is not None:
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BYTES)
        self._head_bytes = 0
        self._stalled: asyncio.TimerHandle | None = None
        self._waiting_for_head: asyncio.TimerHandle | None = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeouts of a closed connection."""
        self._head_came()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Process data of headers or a body, and limit the size of the headers."""
        if self._waiting_for_head is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._waiting_for_head is not None and self._head_bytes > HEAD_BYTES:
            self._refuse(TOO_LARGE)

    def on_message_begin(self) -> None:
        """Start the timeout for the headers at the first byte of a request."""
        super().on_message_begin()
        self._await_head()

    def on_headers_complete(self) -> None:
        """Stop the timeout when the headers are complete."""
        self._head_came()
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """Start the timeout for a client that does not read what we send."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.stall_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop the timeout when the client has read most of the data."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _await_head(self) -> None:
        if self._waiting_for_head is None:
            self._head_bytes = 0
            self._waiting_for_head = self.loop.call_later(self.head_seconds, self._refuse, TOO_SLOW)

    def _head_came(self) -> None:
        if self._waiting_for_head is not None:
            self._waiting_for_head.cancel()
            self._waiting_for_head = None

    def _refuse(self, answer: bytes) -> None:
        self._head_came()
        if self.cycle is None or self.cycle.response_complete:  # otherwise it would end up in the middle of a response
            self.transport.write(answer)
        self.transport.close()


class Server(uvicorn.Server):
    """Ends the event streams on shutdown; uvicorn would wait until their clients disconnect."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle SIGTERM or SIGINT."""
        service: Service | None = getattr(self._app.state, "service", None)
        if service is not None:
            service.notifications.close()
        super().handle_exit(sig, frame)


def make_server(app: FastAPI, settings: ApiSettings) -> Server:
    """Return a server for the app on the configured host and port; `run` serves."""
    times = {"head_seconds": settings.request_head_seconds, "stall_seconds": settings.request_idle_seconds}
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=type("Protocol", (PatientProtocol,), times),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        forwarded_allow_ips=list(settings.trusted_proxies),
    )
    return Server(config, app)
