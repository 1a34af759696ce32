"""SSRF protection: no link can make this service connect to a private address.

`common.links` resolves the name and checks every address, and the connection is made to a checked address, so a DNS
response that changes in between (rebinding) has no effect.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from ssl import SSLContext
from typing import Any

import httpcore

from common.links import STANDARD_PORTS, Ports, checked_addresses

LOOK_UP_SECONDS = 0.5


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only. TLS still verifies the host name, which httpcore passes separately."""

    def __init__(
        self, allowed_private: tuple[str, ...], check: Callable[[], None], ports: Ports = STANDARD_PORTS
    ) -> None:
        """`check` is called periodically while a connection waits for the peer, and may raise to stop."""
        self._allowed_private = allowed_private
        self._ports = ports
        self._check = check
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that accepts the connection."""
        failure: Exception | None = None
        for address in checked_addresses(host, port, self._allowed_private, self._ports):
            self._check()
            try:
                stream = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                return _WatchedStream(stream, self._check)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _WatchedStream(httpcore.NetworkStream):
    """A connection whose reader can be stopped while it waits for data."""

    def __init__(self, inner: httpcore.NetworkStream, check: Callable[[], None]) -> None:
        self._inner = inner
        self._check = check

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        end = time.monotonic() + timeout if timeout is not None else float("inf")
        while True:
            self._check()
            try:
                return self._inner.read(max_bytes, min(LOOK_UP_SECONDS, max(end - time.monotonic(), 0.001)))
            except httpcore.ReadTimeout:
                if time.monotonic() >= end:
                    raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _WatchedStream(self._inner.start_tls(ssl_context, server_hostname, timeout), self._check)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
