"""http links against real servers on the loopback interface that behave in every bad way."""

from __future__ import annotations

import hashlib
import random
import socket
import ssl
import subprocess
import threading
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from common.errors import (
    AudioEmpty,
    ParaqueueError,
    SourceDenied,
    SourceNotAllowed,
    SourceNotAudio,
    SourceNotFound,
    SourceTooLarge,
    SourceTooSlow,
    SourceUnreachable,
)
from tests.servers import HttpServer, Route, send_file
from worker.download import FetchLimits, HttpSource, download
from worker.stopping import Stopped, StopReason, StopSignal

LIMITS = FetchLimits(
    max_bytes=4_000_000,
    timeout_seconds=20,
    stall_seconds=5,
    max_redirects=3,
    resumes=2,
    allowed_private=("127.0.0.1",),
)
CONTENT = random.Random(5).randbytes(1_500_000)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "download"


def fetch(url: str, target: Path, limits: FetchLimits = LIMITS, check: Callable[[], None] = lambda: None) -> bytes:
    source = HttpSource(url, limits, check)
    try:
        download(source.open, target, limits, check)
    finally:
        source.close()
    return target.read_bytes()


def status(code: int, body: bytes = b"", **headers: str) -> Route:
    """A route that answers so."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def redirect(location: str, code: int = 302) -> Route:
    return status(code, Location=location)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Cut the connection, as a server that dies does."""
    handler.wfile.flush()
    handler.connection.shutdown(socket.SHUT_RDWR)
    handler.close_connection = True


def breaking(path: Path, *, after: int, etag: str | None = '"one"', times: int = 1) -> Route:
    """Sends a file, but breaks off the first `times` answers `after` bytes; knows Range and If-Range."""
    left = [times]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = path.read_bytes()
        asked = handler.headers.get("Range")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if handler.headers.get("If-Range", etag) != etag:
            first = 0
        handler.send_response(206 if first else 200)
        handler.send_header("Content-Length", str(len(content) - first))
        if first:
            handler.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        if etag:
            handler.send_header("ETag", etag)
        handler.end_headers()
        if left[0]:
            left[0] -= 1
            handler.wfile.write(content[first : first + after])
            hang_up(handler)
        else:
            handler.wfile.write(content[first:])

    return answer


def ranges(server: HttpServer) -> list[str | None]:
    return [request.headers.get("Range") for request in server.requests]


def test_a_file_comes_whole(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "会议 一.mp3").write_bytes(CONTENT)
    assert fetch(http_server.url("会议 一.mp3?signature=a%2Fb&x=1"), target) == CONTENT
    asked = http_server.requests[0]
    assert asked.path.endswith("?signature=a%2Fb&x=1")
    assert asked.headers["Host"] == f"127.0.0.1:{http_server.port}"
    assert asked.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_followed(http_server: HttpServer, target: Path, code: int) -> None:
    (http_server.directory / "end").write_bytes(CONTENT)
    http_server.routes["/start"] = redirect("/middle", code)
    http_server.routes["/middle"] = redirect(http_server.url("end"), code)
    assert fetch(http_server.url("start"), target) == CONTENT


def test_three_redirects_are_the_limit(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "0").write_bytes(CONTENT)
    for step in range(1, 5):
        http_server.routes[f"/{step}"] = redirect(f"/{step - 1}")
    assert fetch(http_server.url("3"), target) == CONTENT
    with pytest.raises(SourceUnreachable, match="redirects more than 3 times"):
        fetch(http_server.url("4"), target)


def test_a_redirect_loop_ends(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/loop"] = redirect("/loop")
    with pytest.raises(SourceUnreachable, match="redirects"):
        fetch(http_server.url("loop"), target)
    assert len(http_server.requests) == 4


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "gopher://127.0.0.1/",
        "data:audio/wav;base64,AA==",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost/",
        "http://0x7f.1/",
        "http://2130706433/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "//10.0.0.1/",
        "",
    ],
)
def test_redirects_lead_nowhere_else(http_server: HttpServer, target: Path, location: str) -> None:
    http_server.routes["/start"] = redirect(location)
    with pytest.raises(SourceNotAllowed):
        fetch(http_server.url("start"), target)
    assert len(http_server.requests) == 1


@pytest.mark.parametrize("url", ["http://10.0.0.1/a", "http://[fe80::1]/", "http://a\u2028b/", "http://\u200b/", "http://"])
def test_links_that_are_private_or_no_links_are_refused(target: Path, url: str) -> None:
    with pytest.raises((SourceNotAllowed, SourceUnreachable)):
        fetch(url, target, replace(LIMITS, resumes=0))


def test_a_loopback_link_is_refused_unless_allowed(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "a").write_bytes(CONTENT)
    for allowed in ((), ("localhost",), ("10.0.0.0/8", "127.0.0.2/32")):
        with pytest.raises(SourceNotAllowed):
            fetch(http_server.url("a"), target, replace(LIMITS, allowed_private=allowed))
    assert not http_server.requests
    assert fetch(http_server.url("a"), target, replace(LIMITS, allowed_private=("127.0.0.0/8",))) == CONTENT


def test_https_never_becomes_http(
    http_server: HttpServer, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (http_server.directory / "plain").write_bytes(CONTENT)
    port, certificate = tls_server(tmp_path, http_server.url("plain"))
    with pytest.raises(SourceUnreachable):  # nobody vouches for that server
        fetch(f"https://127.0.0.1:{port}/", target, replace(LIMITS, resumes=0))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with pytest.raises(SourceNotAllowed, match="https to http"):
        fetch(f"https://127.0.0.1:{port}/", target)
    assert not http_server.requests


def tls_server(place: Path, location: str) -> tuple[int, Path]:
    """A server that redirects every https request to `location`, and its certificate."""
    key, certificate = place / "key.pem", place / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=test"]
    subprocess.run([*command, "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            connection, _ = listener.accept()
            try:
                with context.wrap_socket(connection, server_side=True) as stream:
                    stream.recv(4096)
                    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                    stream.sendall(answer.encode())
            except OSError:
                continue

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1], certificate


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (404, SourceNotFound),
        (410, SourceNotFound),
        (401, SourceDenied),
        (403, SourceDenied),
        (400, SourceDenied),
        (405, SourceDenied),
        (429, SourceUnreachable),
        (408, SourceUnreachable),
        (500, SourceUnreachable),
        (502, SourceUnreachable),
        (503, SourceUnreachable),
    ],
)
def test_refusals(http_server: HttpServer, target: Path, code: int, error: type[ParaqueueError]) -> None:
    http_server.routes["/"] = status(code, b"no")
    with pytest.raises(error, match=str(code)):
        fetch(http_server.url(), target)
    assert len(http_server.requests) == 1


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\x00\x01", "text/html"),
        (b"\x00\x01", "Text/HTML; charset=utf-8"),
        (b"\x00\x01", "application/xhtml+xml"),
        (b"<!DOCTYPE html><title>Sign in</title>", "audio/mpeg"),
        (b"\r\n  <html lang='zh'>", "application/octet-stream"),
    ],
)
def test_a_web_page_is_not_audio(http_server: HttpServer, target: Path, body: bytes, kind: str) -> None:
    http_server.routes["/"] = status(200, body, Content_Type=kind)
    with pytest.raises(SourceNotAudio, match="web page"):
        fetch(http_server.url(), target)


def test_an_empty_file_is_said_so(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "empty").touch()
    with pytest.raises(AudioEmpty):
        fetch(http_server.url("empty"), target)


def test_a_port_where_nobody_listens(target: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(SourceUnreachable, match="broke off 1 times"):
        fetch(f"http://127.0.0.1:{port}/", target, replace(LIMITS, resumes=0))


def test_an_announced_size_over_the_limit_is_not_even_read(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/"] = status(200, b"abc", Content_Length="4000001")
    with pytest.raises(SourceTooLarge, match="4000001"):
        fetch(http_server.url(), target)
    assert target.stat().st_size == 0


def test_a_body_without_end_stops_at_the_limit(http_server: HttpServer, target: Path) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")

    http_server.routes["/"] = endless
    with pytest.raises(SourceTooLarge):
        fetch(http_server.url(), target)
    assert target.stat().st_size <= LIMITS.max_bytes + 1_000_000


def test_a_body_that_stalls_is_given_up(http_server: HttpServer, target: Path) -> None:
    done = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"abc")
        done.wait(30)

    http_server.routes["/"] = stall
    began = time.monotonic()
    with pytest.raises(SourceUnreachable, match="ReadTimeout"):
        fetch(http_server.url(), target, replace(LIMITS, stall_seconds=0.7, resumes=0))
    assert 0.7 <= time.monotonic() - began < 3
    done.set()


@pytest.mark.parametrize("where", ["headers", "body"])
def test_a_trickle_is_given_up_when_the_time_is_over(http_server: HttpServer, target: Path, where: str) -> None:
    over = threading.Event()

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        handler.wfile.write(b"X-Slow: " if where == "headers" else b"Content-Length: 100000\r\n\r\n")
        while not over.wait(0.05):
            handler.wfile.write(b"a")

    http_server.routes["/"] = trickle
    began = time.monotonic()
    with pytest.raises(SourceTooSlow):
        fetch(http_server.url(), target, replace(LIMITS, timeout_seconds=1))
    assert 1 <= time.monotonic() - began < 3
    over.set()


def test_many_stalls_do_not_add_up_beyond_the_time_limit(http_server: HttpServer, target: Path) -> None:
    over = threading.Event()
    http_server.routes["/"] = lambda _: over.wait(30) and None
    began = time.monotonic()
    with pytest.raises(SourceTooSlow):
        fetch(http_server.url(), target, replace(LIMITS, timeout_seconds=1.5, stall_seconds=0.3, resumes=100))
    assert time.monotonic() - began < 4
    over.set()


def test_a_broken_download_is_continued(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "file").write_bytes(CONTENT)
    http_server.routes["/a"] = breaking(http_server.directory / "file", after=600_000, times=2)
    got = fetch(http_server.url("a"), target)
    assert hashlib.sha256(got).digest() == hashlib.sha256(CONTENT).digest()
    first, second, third = http_server.requests
    assert first.headers.get("Range") is None
    assert second.headers["Range"] == "bytes=600000-"
    assert second.headers["If-Range"] == '"one"'
    assert third.headers["Range"] == "bytes=1200000-"


def test_a_download_that_breaks_too_often_is_given_up(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "file").write_bytes(CONTENT)
    http_server.routes["/a"] = breaking(http_server.directory / "file", after=1000, times=9)
    with pytest.raises(SourceUnreachable, match="broke off 3 times"):
        fetch(http_server.url("a"), target)


def test_a_file_that_changed_in_between_begins_anew(http_server: HttpServer, target: Path) -> None:
    path = http_server.directory / "file"
    path.write_bytes(CONTENT)
    first = breaking(path, after=600_000, etag='"one"')
    changed = CONTENT[::-1][:900_000]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if len(http_server.requests) == 1:
            first(handler)
        else:
            path.write_bytes(changed)
            breaking(path, after=0, etag='"two"', times=0)(handler)

    http_server.routes["/a"] = answer
    assert fetch(http_server.url("a"), target) == changed
    assert ranges(http_server) == [None, "bytes=600000-"]


def test_a_server_that_ignores_range_begins_anew(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "file").write_bytes(CONTENT)
    first = breaking(http_server.directory / "file", after=600_000)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if len(http_server.requests) > 1:
            del handler.headers["Range"]
        first(handler)

    http_server.routes["/a"] = answer
    assert fetch(http_server.url("a"), target) == CONTENT
    assert ranges(http_server) == [None, "bytes=600000-"]


def test_a_server_without_versions_begins_anew(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "file").write_bytes(CONTENT)
    http_server.routes["/a"] = breaking(http_server.directory / "file", after=600_000, etag=None)
    assert fetch(http_server.url("a"), target) == CONTENT
    assert ranges(http_server) == [None, None]


@pytest.mark.parametrize("wrong", ["version", "offset"])
def test_a_rest_of_something_else_is_not_taken(http_server: HttpServer, target: Path, wrong: str) -> None:
    """A server that knows Range but not If-Range, or that counts in another way."""
    (http_server.directory / "file").write_bytes(CONTENT)
    first = breaking(http_server.directory / "file", after=600_000)
    etag = '"two"' if wrong == "version" else '"one"'
    offset = 600_000 if wrong == "version" else 599_999

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Range"):
            body = b"x" * (len(CONTENT) - 600_000)
            span = f"bytes {offset}-{offset + len(body) - 1}/{len(CONTENT)}"
            status(206, body, ETag=etag, Content_Range=span)(handler)
        else:
            first(handler)

    http_server.routes["/a"] = answer
    assert fetch(http_server.url("a"), target) == CONTENT
    assert ranges(http_server) == [None, "bytes=600000-", None]


def test_a_break_at_the_very_end_is_no_failure(http_server: HttpServer, target: Path) -> None:
    """A chunked body that breaks before its last, empty chunk: there is no rest to ask for."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Range"):
            status(416, Content_Range=f"bytes */{len(CONTENT)}")(handler)
            return
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("ETag", '"one"')
        handler.end_headers()
        handler.wfile.write(f"{len(CONTENT):x}\r\n".encode() + CONTENT + b"\r\n")
        if len(http_server.requests) == 1:
            hang_up(handler)
        else:
            handler.wfile.write(b"0\r\n\r\n")

    http_server.routes["/a"] = answer
    assert fetch(http_server.url("a"), target) == CONTENT


def test_an_announced_length_that_never_comes_is_said(http_server: HttpServer, target: Path) -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        status(200, CONTENT[:1000], Content_Length="2000")(handler)
        hang_up(handler)

    http_server.routes["/"] = short
    with pytest.raises(SourceUnreachable, match="broke off"):
        fetch(http_server.url(), target)


def test_nonsense_instead_of_http(http_server: HttpServer, target: Path) -> None:
    def nonsense(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        hang_up(handler)

    http_server.routes["/"] = nonsense
    with pytest.raises(SourceUnreachable):
        fetch(http_server.url(), target, replace(LIMITS, resumes=0))


@pytest.mark.parametrize("moment", ["in the body", "before the answer"])
def test_a_download_stops_within_two_seconds_though_nothing_comes(
    http_server: HttpServer, target: Path, moment: str
) -> None:
    waiting, over = threading.Event(), threading.Event()
    signal = StopSignal()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        if moment == "in the body":
            status(200, b"abc", Content_Length="1000")(handler)
        waiting.set()
        over.wait(30)

    http_server.routes["/"] = stall
    asked = []

    def cancel() -> None:
        waiting.wait(10)
        asked.append(time.monotonic())
        signal.request(StopReason.CANCELED)

    threading.Thread(target=cancel, daemon=True).start()
    with pytest.raises(Stopped):
        fetch(http_server.url(), target, replace(LIMITS, stall_seconds=20), check=signal.check)
    assert time.monotonic() - asked[0] < 2
    over.set()


def test_a_download_stops_between_chunks(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "file").write_bytes(CONTENT)
    signal = StopSignal()

    def check() -> None:
        if target.exists() and target.stat().st_size > 100_000:
            signal.request(StopReason.LOST)
        signal.check()

    with pytest.raises(Stopped):
        fetch(http_server.url("file"), target, check=check)
    assert target.stat().st_size < len(CONTENT)


def test_memory_holds_a_chunk_and_not_the_file(http_server: HttpServer, target: Path) -> None:
    size = 60_000_000

    def big(handler: BaseHTTPRequestHandler) -> None:
        status(200, Content_Length=str(size))(handler)
        for _ in range(size // 1_000_000):
            handler.wfile.write(CONTENT[:1_000_000])

    http_server.routes["/"] = big
    tracemalloc.start()
    source = HttpSource(http_server.url(), LIMITS, lambda: None)
    download(source.open, target, replace(LIMITS, max_bytes=size), lambda: None)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    source.close()
    assert target.stat().st_size == size
    assert peak < 8_000_000


def test_the_server_of_these_tests_knows_ranges(http_server: HttpServer, tmp_path: Path) -> None:
    """What the tests above rely on where they use plain files."""
    path = http_server.directory / "file"
    path.write_bytes(CONTENT)
    http_server.routes["/same"] = lambda handler: send_file(handler, path)
    assert fetch(http_server.url("same"), tmp_path / "x") == fetch(http_server.url("file"), tmp_path / "y")
