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
import httpx

from common.errors import SourceNotAllowed, SourceUnreachable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# RFC 6052: IPv4 addresses inside IPv6, behind a translator.
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# RFC 4291: all that is given out for the internet.
GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# Addresses that lead somewhere else than to the public internet, whatever the Python at hand thinks of them: IANA's
# special-purpose registry, and what clouds keep for themselves inside of public ranges.
NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"),
        "100.64.0.0/10",  # shared address space; Alibaba's metadata is 100.100.100.200
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata is 192.0.0.192
        "192.88.99.0/24",  # once the relay of 6to4
        *("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"),  # documentation
        *("192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"),  # AS112 and AMT
        *("198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4"),
        "168.63.129.16/32",  # Azure's platform address
        *("161.26.0.0/16", "166.8.0.0/14"),  # IBM Cloud's service network
        "2001::/23",  # IETF protocol assignments; a Teredo address is taken apart before
        *("2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8"),
        "2620:4f:8000::/48",
    )
)
# RFC 5214: the interface half of an ISATAP address, without the bit that says "globally unique" and the IPv4 address.
ISATAP = 0x0000_5EFE
LOOK_UP_SECONDS = 0.5
Ports = tuple[range, ...]
STANDARD_PORTS: Ports = (range(80, 81), range(443, 444))


def is_public(address: Address) -> bool:
    """Whether an address, and any IPv4 address embedded in it, belongs to the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if (int(address) >> 32) & 0xFDFF_FFFF == ISATAP:
            return False
        inside = _embedded(address)
        if inside is not None:
            return is_public(inside)
        if address not in GLOBAL_UNICAST:
            return False
    if any(address in network for network in NEVER if network.version == address.version):
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


def checked_addresses(host: str, port: int, allowed_private: Iterable[str], ports: Ports = STANDARD_PORTS) -> list[str]:
    """The addresses of a host, if all of them may be connected to at that port.

    `allowed_private` names hosts, `host:port`, addresses and networks; what it names may be private, and be called
    at any port, or at the one named. All else has to be public, and the port among `ports`.
    Raises SourceUnreachable where the name has no address, SourceNotAllowed where one of them is not allowed.
    """
    if not 0 < port < 65536:  # the resolver would take it modulo 65536
        raise SourceNotAllowed(f"there is no port {port}")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise SourceUnreachable(f"the host {host!r} cannot be resolved") from error
    names = tuple(allowed_private)
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if _allowed(host, port, address, names):
            continue
        if not is_public(address):
            raise SourceNotAllowed(f"the host {host!r} resolves to a private address")
        if not any(port in some for some in ports):
            raise SourceNotAllowed(f"links to port {port} are not allowed (PARAQUEUE_FETCH_PORTS)")
    return addresses


def _allowed(host: str, port: int, address: Address, names: tuple[str, ...]) -> bool:
    for name in names:
        if "/" not in name:
            if name in {host.lower(), f"{host.lower()}:{port}"}:
                return True
        elif address in ipaddress.ip_network(name):
            return True
    return False


def fetchable(url: httpx.URL) -> httpx.URL:
    """The URL itself. Raises SourceNotAllowed for one with a user name or password, which ends up in logs."""
    if url.userinfo:
        raise SourceNotAllowed("the link contains a user name or password")
    if url.port == 0:  # httpcore would take it for "none given"
        raise SourceNotAllowed("there is no port 0")
    return url


class GuardedBackend(httpcore.NetworkBackend):
    """Connects to checked addresses only. TLS still verifies the name: httpcore hands it over separately."""

    def __init__(
        self, allowed_private: tuple[str, ...], check: Callable[[], None], ports: Ports = STANDARD_PORTS
    ) -> None:
        """`check` is called now and then while a connection waits for the other side, and may raise to stop."""
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
        """Connect to the first address that answers."""
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
