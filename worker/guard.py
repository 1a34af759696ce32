"""No link can make this service talk to a private address.

The name is resolved here, every address is checked, and the connection goes to an address that was checked: a
DNS answer that changes in between (rebinding) changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable, Iterable
from ssl import SSLContext
from typing import Any

import httpcore

from common.errors import SourceNotAllowed, SourceUnreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# RFC 6052: IPv4 addresses inside IPv6, behind a translator.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# RFC 4291: all that is given out for the internet. Python's own table lets site-local addresses (fec0::/10) pass,
# and does not know RFC 9637's documentation network yet.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
DOCUMENTATION = ipaddress.IPv6Network("3fff::/20")
LOOK_UP_SECONDS = 0.5


def is_public(address: Address) -> bool:
    """Whether an address, and any IPv4 address embedded in it, belongs to the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inside = _embedded(address)
        if inside is not None:
            return is_public(inside)
        if address not in GLOBAL_UNICAST or address in DOCUMENTATION:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in NAT64 or int(address) >> 32 == 0:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


def checked_addresses(host: str, port: int, allowed_private: Iterable[str]) -> list[str]:
    """The addresses of a host, if all of them may be connected to.

    Raises SourceUnreachable where the name has none; SourceNotAllowed where one of them is private and
    neither the host nor a network around the address is in `allowed_private`.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceUnreachable(f"the host {host!r} cannot be resolved") from error
    names = tuple(allowed_private)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if not is_public(address) and not _allowed(host, address, names):
            raise SourceNotAllowed(f"the host {host!r} leads to a private address")
    return addresses


def _allowed(host: str, address: Address, names: tuple[str, ...]) -> bool:
    for name in names:
        if "/" not in name:
            if name == host.lower():
                return True
        elif address in ipaddress.ip_network(name):
            return True
    return False


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only. TLS still verifies the name: httpcore hands it over separately."""

    def __init__(self, allowed_private: tuple[str, ...], check: Callable[[], None]) -> None:
        """`check` is called now and then while a connection waits for the other side, and may raise to stop."""
        self._allowed_private = allowed_private
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
        """Connect to the first address that answers."""
        failure: Exception | None = None
        for address in checked_addresses(host, port, self._allowed_private):
            self._check()
            try:
                stream = self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                return _WatchedStream(stream, self._check)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")


class _WatchedStream(httpcore.NetworkStream):
    """A connection whose reader can be stopped while nothing comes."""

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
