"""Links and webhooks whose names lie. Run by test_links_dns.py in a network namespace that holds loopback only.

The resolver is that of the system: /etc/resolv.conf of the namespace names the DNS server below. The names that may
be private lead to 127.0.0.1; 127.0.0.2 stands for a machine of the intranet that must never be called.
"""

from __future__ import annotations

import fcntl
import ipaddress
import socket
import struct
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
import pytest
from dnslib import AAAA, CNAME, QTYPE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer

from common.errors import SourceNotAllowed, SourceUnreachable
from common.webhooks import ClaimedDelivery
from tests.servers import HttpServer, running_http_server, send_file
from worker.light.sender import Sender, SendResult
from worker.transcription.fetching.download import download
from worker.transcription.fetching.http_source import HttpSource
from worker.transcription.fetching.limits import FetchLimits

ALLOWED = "127.0.0.1"
INTRANET = "127.0.0.2"
LIMITS = FetchLimits(
    max_bytes=4_000_000,
    timeout_seconds=20,
    stall_seconds=5,
    max_redirects=3,
    resumes=2,
    allowed_private=(ALLOWED + "/32",),
)
CONTENT = bytes(range(256)) * 4000
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TLS = httpx.create_ssl_context()
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1

_connects: list[Any] = []


def _spy(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        _connects.append(arguments[1])


sys.addaudithook(_spy)


class Names(BaseResolver):  # type: ignore[misc]
    """Answers each look-up of a name with the next of its answers, and with the last one from then on."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.queries: Counter[str] = Counter()

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:  # noqa: ARG002 (dnslib passes it)
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        kind = QTYPE[request.q.qtype]
        answers = self.answers.get(name)
        if answers is None:
            reply.header.rcode = 3
            return reply
        now = answers[min(self.queries[f"{name} {kind}"], len(answers) - 1)]
        self.queries[f"{name} {kind}"] += 1
        for record in self._records(name, now):
            if QTYPE[record.rtype] in {kind, "CNAME"}:
                reply.add_answer(record)
        return reply

    def _records(self, name: str, values: list[str]) -> Iterator[RR]:
        for value in values:
            if value.endswith("."):
                yield RR(name, QTYPE.CNAME, rdata=CNAME(value), ttl=0)
                yield from self._records(value, self.answers[value.rstrip(".")][0])
            elif ":" in value:
                yield RR(name, QTYPE.AAAA, rdata=AAAA(ipaddress.IPv6Address(value).exploded), ttl=0)
            else:
                yield RR(name, QTYPE.A, rdata=A(value), ttl=0)


@pytest.fixture(scope="module")
def resolver() -> Iterator[Names]:
    """The DNS server that /etc/resolv.conf names."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        flags = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sh22x", b"lo", 0))
        up = struct.unpack("16sh22x", flags)[1] | IFF_UP
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", up))
    assert socket.if_nameindex() == [(1, "lo")], "this is for a network namespace of its own"
    names = Names()
    server = DNSServer(names, address="127.0.0.1", port=53, logger=DNSLogger("-request,-reply"))
    server.start_thread()
    yield names
    server.stop()


@pytest.fixture
def names(resolver: Names) -> Names:
    resolver.answers.clear()
    resolver.queries.clear()
    _connects.clear()
    return resolver


@pytest.fixture(scope="module")
def servers(resolver: Names, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, HttpServer]]:
    """The server that may be called, and the one that must not; they hold the same file."""
    assert not resolver.answers  # the addresses exist once the interface is up
    place = tmp_path_factory.mktemp("www")
    (place / "a.mp3").write_bytes(CONTENT)
    with running_http_server(place, ALLOWED, 80) as allowed, running_http_server(place, INTRANET, 80) as intranet:
        yield {ALLOWED: allowed, INTRANET: intranet}


@pytest.fixture
def allowed(servers: dict[str, HttpServer]) -> HttpServer:
    server = servers[ALLOWED]
    server.routes.clear()
    server.requests.clear()
    return server


@pytest.fixture(autouse=True)
def intranet(servers: dict[str, HttpServer]) -> Iterator[HttpServer]:
    """Whatever a test does, that machine is never asked anything."""
    yield servers[INTRANET]
    assert not servers[INTRANET].requests, "the machine of the intranet was called"


def fetch(url: str, target: Path, **changes: Any) -> bytes:
    values = {name: getattr(LIMITS, name) for name in FetchLimits.__slots__}
    source = HttpSource(url, FetchLimits(**values | changes), lambda: None)
    try:
        download(source.open, target, LIMITS, lambda: None)
    finally:
        source.close()
    return target.read_bytes()


def redirect(location: str, *, hang_up: bool = True) -> Any:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", location)
        handler.send_header("Content-Length", "0")
        handler.send_header("Connection", "close" if hang_up else "keep-alive")
        handler.end_headers()
        handler.close_connection = hang_up

    return answer


def test_the_address_that_was_checked_is_the_one_that_is_called(
    names: Names, allowed: HttpServer, tmp_path: Path
) -> None:
    names.answers["rebind.test"] = [[ALLOWED], [INTRANET]]
    assert fetch("http://rebind.test/a.mp3", tmp_path / "got") == CONTENT
    assert _connects == [(ALLOWED, 80)]
    assert names.queries == {"rebind.test A": 1, "rebind.test AAAA": 1}
    assert allowed.requests[0].headers["Host"] == "rebind.test"


def test_a_name_is_checked_again_when_a_broken_download_goes_on(
    names: Names, allowed: HttpServer, tmp_path: Path
) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(CONTENT)))
        handler.end_headers()
        handler.wfile.write(CONTENT[:1000])
        handler.close_connection = True

    allowed.routes["/a.mp3"] = half
    names.answers["rebind.test"] = [[ALLOWED], [INTRANET]]
    with pytest.raises(SourceNotAllowed, match="private address"):
        fetch("http://rebind.test/a.mp3", tmp_path / "got")
    assert _connects == [(ALLOWED, 80)]


def test_a_name_is_checked_again_after_a_redirect(names: Names, allowed: HttpServer, tmp_path: Path) -> None:
    allowed.routes["/a.mp3"] = redirect("http://rebind.test/secret")
    names.answers["rebind.test"] = [[ALLOWED], [INTRANET]]
    with pytest.raises(SourceNotAllowed, match="private address"):
        fetch("http://rebind.test/a.mp3", tmp_path / "got")
    assert _connects == [(ALLOWED, 80)]
    assert names.queries["rebind.test A"] == 2


PRIVATE = {
    "loopback": "127.0.0.2",
    "private 10": "10.0.0.1",
    "private 172": "172.16.5.4",
    "private 192": "192.168.1.1",
    "metadata": "169.254.169.254",
    "Alibaba's metadata": "100.100.100.200",
    "unspecified": "0.0.0.0",
    "multicast": "239.1.2.3",
    "broadcast": "255.255.255.255",
    "loopback 6": "::1",
    "mapped": "::ffff:127.0.0.1",
    "mapped metadata": "::ffff:169.254.169.254",
    "compatible": "::127.0.0.1",
    "6to4": "2002:7f00:1::1",
    "NAT64": "64:ff9b::a00:1",
    "local NAT64": "64:ff9b:1::a00:1",
    "Teredo": "2001:0:4136:e378:8000:63bf:f5ff:fffe",
    "ISATAP": "2600:1f00::5efe:a00:1",
    "unique local": "fd00:ec2::254",
    "link-local": "fe80::1",
    "site-local": "fec0::1",
    "multicast 6": "ff02::1",
}


@pytest.mark.parametrize("address", PRIVATE.values(), ids=PRIVATE.keys())
@pytest.mark.parametrize("how", ["at once", "by a redirect", "by an alias", "beside a good one", "as a webhook"])
def test_a_private_address_is_resolved_and_never_called(
    names: Names, allowed: HttpServer, tmp_path: Path, address: str, how: str
) -> None:
    names.answers |= {
        "good.test": [[ALLOWED]],
        "bad.test": [[address]],
        "alias.test": [["bad.test."]],
        "both.test": [[ALLOWED, address]],
    }
    allowed.routes["/go"] = redirect("http://bad.test/latest/meta-data/")
    if how == "as a webhook":
        assert send("http://bad.test/hook").report.error == "address_not_allowed"
        assert not _connects
        return
    url = {
        "at once": "http://bad.test/",
        "by a redirect": "http://good.test/go",
        "by an alias": "http://alias.test/",
        "beside a good one": "http://both.test/a.mp3",
    }[how]
    with pytest.raises(SourceNotAllowed, match="private address"):
        fetch(url, tmp_path / "got")
    assert _connects == ([(ALLOWED, 80)] if how == "by a redirect" else [])


@pytest.mark.parametrize(
    "host",
    [
        "0x7f.2", "0x7f000002", "2130706434", "017700000002", "0177.0.0.02", "127.2", "0", "127。0。0。2", "127．0.0.2",
        "127.0.0.2.", "localhost.", "metadata.test.", "METADATA.test", "bücher.test", "[::ffff:127.0.0.2]", "[::1]",
        "[::ffff:7f00:2]", "[0:0:0:0:0:0:0:1]", "[fe80::1%25lo]", "ⓛocalhost", "①②⑦.0.0.2", "127.0.0.1%2f@127.0.0.2",
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["link", "redirect", "webhook"])
def test_no_way_to_write_a_name_leads_there(
    names: Names, allowed: HttpServer, tmp_path: Path, host: str, way: str
) -> None:
    names.answers |= {
        "good.test": [[ALLOWED]],
        "metadata.test": [["169.254.169.254"]],
        "xn--bcher-kva.test": [["10.0.0.1"]],
    }
    allowed.routes["/go"] = redirect(f"http://{host}/")
    if way == "webhook":
        assert send(f"http://{host}/").report.error in {"address_not_allowed", "invalid_url", "host_not_found"}
    else:
        url = f"http://{host}/" if way == "link" else "http://good.test/go"
        with pytest.raises((SourceNotAllowed, SourceUnreachable)):
            fetch(url, tmp_path / "got")
    assert {address for address, *_ in _connects} <= ({ALLOWED} if way == "redirect" else set())


def test_ports_are_those_of_the_setting(names: Names, tmp_path: Path) -> None:
    names.answers |= {"public.test": [["8.8.8.8"]], "media.test": [[ALLOWED]]}
    for port in (22, 6379, 8080, 0, 65536 + 80):
        with pytest.raises(SourceNotAllowed, match="port"):
            fetch(f"http://public.test:{port}/", tmp_path / "got", allowed_private=())
        with pytest.raises(SourceNotAllowed):
            fetch(f"http://media.test:{port}/", tmp_path / "got", allowed_private=("media.test:80",))
    assert not _connects
    assert fetch("http://media.test/a.mp3", tmp_path / "got", allowed_private=("media.test:80",)) == CONTENT


def test_an_allowed_name_is_that_name_only(names: Names, tmp_path: Path) -> None:
    names.answers |= {name: [[INTRANET]] for name in ("other.test", "media.test.evil.test", "evilmedia.test")}
    for host in ("other.test", "media.test.evil.test", "evilmedia.test", INTRANET):
        with pytest.raises(SourceNotAllowed):
            fetch(f"http://{host}/", tmp_path / "got", allowed_private=("media.test",))
    assert not _connects


@pytest.mark.parametrize("location", ["http://user:hush@good.test/a.mp3", "http://user@good.test/a.mp3"])
def test_credentials_in_a_link_are_refused(names: Names, allowed: HttpServer, tmp_path: Path, location: str) -> None:
    names.answers["good.test"] = [[ALLOWED]]
    allowed.routes["/go"] = redirect(location)
    for url in (location, "http://good.test/go"):
        with pytest.raises(SourceNotAllowed, match="user name") as caught:
            fetch(url, tmp_path / "got")
        assert "hush" not in str(caught.value)
    assert [request.path for request in allowed.requests] == ["/go"]


@pytest.mark.usefixtures("names")
def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(SourceUnreachable, match="cannot be resolved"):
        fetch("http://nobody.test/", tmp_path / "got")
    assert send("http://nobody.test/").report.error == "host_not_found"


def send(url: str) -> SendResult:
    sender = Sender(
        seal=None,
        own_secrets=(SECRET,),
        public_url=None,
        allowed_private=LIMITS.allowed_private,
        timeout_seconds=5.0,
        tls=TLS,
    )
    parcel = ClaimedDelivery(uuid.uuid4(), "lane", 1, 0, "transcription.completed", datetime.now(UTC), url, {}, ())
    return sender.send(parcel)


def test_a_webhook_goes_to_the_address_that_was_checked_and_is_checked_at_each_try(
    names: Names, allowed: HttpServer
) -> None:
    allowed.routes["/hook"] = lambda handler: send_file(handler, allowed.directory / "a.mp3")
    names.answers["rebind.test"] = [[ALLOWED], [INTRANET]]
    assert send("http://rebind.test/hook").delivered
    assert names.queries["rebind.test A"] == 1
    again = send("http://rebind.test/hook")
    assert again.report.error == "address_not_allowed"
    assert again.final
    assert _connects == [(ALLOWED, 80)]


def test_a_webhook_follows_no_redirect_and_sends_no_credentials(names: Names, allowed: HttpServer) -> None:
    names.answers |= {"good.test": [[ALLOWED]], "bad.test": [[INTRANET]]}
    allowed.routes["/hook"] = redirect("http://bad.test/")
    assert send("http://good.test/hook").report.error == "redirect"
    assert send("http://user:hush@good.test/hook").report.error == "address_not_allowed"
    assert [request.path for request in allowed.requests] == ["/hook"]
