"""Which addresses a link may lead to. Nothing here connects to anything."""

from __future__ import annotations

import ipaddress

import httpcore
import pytest

from common.errors import SourceNotAllowed, SourceUnreachable
from common.links import checked_addresses
from common.links.addresses import is_public
from worker.net.ssrf import GuardedBackend

PRIVATE = {
    "unspecified": "0.0.0.0",
    "this network": "0.1.2.3",
    "loopback": "127.0.0.1",
    "all of loopback": "127.255.255.254",
    "private 10": "10.0.0.1",
    "private 172": "172.16.0.1",
    "end of private 172": "172.31.255.255",
    "private 192": "192.168.1.1",
    "link-local": "169.254.0.1",
    "cloud metadata": "169.254.169.254",
    "Alibaba's metadata": "100.100.100.200",
    "carrier-grade NAT": "100.64.0.1",
    "end of carrier-grade NAT": "100.127.255.255",
    "Azure's platform": "168.63.129.16",
    "Oracle's metadata": "192.0.0.192",
    "protocol assignments": "192.0.0.9",
    "old 6to4 relay": "192.88.99.1",
    "IBM's services": "161.26.0.10",
    "end of IBM's services": "166.11.255.255",
    "AS112": "192.175.48.6",
    "multicast": "224.0.0.1",
    "site multicast": "239.255.255.250",
    "benchmarking": "198.18.0.1",
    "documentation": "203.0.113.9",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "loopback 6": "::1",
    "unspecified 6": "::",
    "link-local 6": "fe80::1",
    "unique local 6": "fc00::1",
    "unique local 6, assigned": "fd00:ec2::254",
    "site-local 6": "fec0::1",
    "multicast 6": "ff02::1",
    "global multicast 6": "ff0e::1",
    "documentation 6": "2001:db8::1",
    "new documentation 6": "3fff::1",
    "discard 6": "100::1",
    "segment routing 6": "5f00::1",
    "protocol assignments 6": "2001:1::1",
    "NAT64 of Azure's platform": "64:ff9b::168.63.129.16",
    "6to4 of Azure's platform": "2002:a83f:8110::1",
    "mapped Alibaba": "::ffff:100.100.100.200",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped private": "::ffff:10.1.2.3",
    "mapped metadata": "::ffff:a9fe:a9fe",
    "compatible loopback": "::127.0.0.1",
    "6to4 of loopback": "2002:7f00:1::1",
    "6to4 of private": "2002:c0a8:101::1",
    "Teredo of private": "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    "NAT64 of loopback": "64:ff9b::127.0.0.1",
    "NAT64 of metadata": "64:ff9b::a9fe:a9fe",
    "local NAT64": "64:ff9b:1::a00:1",
}
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
]
# Ways to write 127.0.0.1, 10.0.0.1 or 169.254.169.254 that a resolver understands, though a naive check does not.
DISGUISED = [
    "0x7f.1",
    "0x7f000001",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "127.1",
    "0",
    "localhost",
    "LOCALHOST",
    "167772161",
    "0xa9fea9fe",
    "::ffff:7f00:1",
    "0:0:0:0:0:0:0:1",
    "fe80::1%1",
]


@pytest.mark.parametrize("address", PRIVATE.values(), ids=PRIVATE.keys())
def test_private_addresses_are_refused(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    with pytest.raises(SourceNotAllowed, match="private address"):
        checked_addresses(address, 80, ())


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_fine(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))
    # The resolver may write the same address in another way.
    addresses = [ipaddress.ip_address(item) for item in checked_addresses(address, 443, ())]
    assert addresses == [ipaddress.ip_address(address)]


@pytest.mark.parametrize("host", DISGUISED)
def test_disguised_addresses_are_refused(host: str) -> None:
    with pytest.raises(SourceNotAllowed, match="private address"):
        checked_addresses(host, 80, ())


@pytest.mark.parametrize("host", ["no-such-host.invalid", "", "a..b", "x" * 300, "‮evil", "a\x00b"])
def test_names_that_cannot_be_resolved_are_said_so(host: str) -> None:
    with pytest.raises((SourceUnreachable, SourceNotAllowed)):
        checked_addresses(host, 80, ())


def test_hosts_are_allowed_by_name() -> None:
    assert "127.0.0.1" in checked_addresses("LocalHost", 80, ("localhost",))
    with pytest.raises(SourceNotAllowed):
        checked_addresses("127.0.0.1", 80, ("localhost",))


def test_hosts_are_allowed_by_network() -> None:
    allowed = ("10.20.0.0/16", "fd00::/8")
    assert checked_addresses("10.20.255.1", 80, allowed) == ["10.20.255.1"]
    assert checked_addresses("fd12::1", 80, allowed) == ["fd12::1"]
    for outside in ("10.21.0.1", "127.0.0.1", "fc00::1", "::1"):
        with pytest.raises(SourceNotAllowed):
            checked_addresses(outside, 80, allowed)


def test_a_name_with_one_private_address_is_refused_as_a_whole() -> None:
    both = {ipaddress.ip_address(item).version for item in checked_addresses("localhost", 80, ("localhost",))}
    if both != {4, 6}:
        pytest.skip("localhost has only one address here")
    with pytest.raises(SourceNotAllowed):
        checked_addresses("localhost", 80, ("127.0.0.0/8",))


def test_the_backend_refuses_before_it_connects() -> None:
    backend = GuardedBackend((), lambda: None)
    with pytest.raises(SourceNotAllowed):
        backend.connect_tcp("169.254.169.254", 80, timeout=0.001)


def test_the_backend_has_no_way_around_the_check() -> None:
    with pytest.raises(NotImplementedError):
        GuardedBackend((), lambda: None).connect_unix_socket("/var/run/docker.sock")
    assert isinstance(GuardedBackend((), lambda: None), httpcore.NetworkBackend)
