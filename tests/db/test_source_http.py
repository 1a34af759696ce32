"""http links against real servers on the loopback interface that behave in every bad way."""

from __future__ import annotations

import random
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpcore
import pytest

from common.errors import (
    AudioEmpty,
    ParaqueueError,
    SourceDenied,
    SourceNotAllowed,
    SourceNotAudio,
    SourceNotFound,
    SourceTooLarge,
    SourceUnreachable,
)
from tests.servers import HttpServer, Route
from worker.transcription.fetching import http_source
from worker.transcription.fetching.download import download
from worker.transcription.fetching.http_source import HttpSource
from worker.transcription.fetching.limits import FetchLimits

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


def test_a_file_comes_whole(http_server: HttpServer, target: Path) -> None:
    (http_server.directory / "会议 一.mp3").write_bytes(CONTENT)
    assert fetch(http_server.url("会议 一.mp3?signature=a%2Fb&x=1"), target) == CONTENT
    request = http_server.requests[0]
    assert request.path.endswith("?signature=a%2Fb&x=1")
    assert request.headers["Host"] == f"127.0.0.1:{http_server.port}"
    assert request.headers["Accept-Encoding"] == "identity"


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
    with pytest.raises(SourceUnreachable, match="more than 3 redirects"):
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


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/a", "http://[fe80::1]/", "http://a\u2028b/", "http://\u200b/", "http://"]
)
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
    with pytest.raises(SourceUnreachable):  # that server is not trusted
        fetch(f"https://127.0.0.1:{port}/", target, replace(LIMITS, resumes=0))
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setattr(http_source, "tls", httpcore.default_ssl_context)  # a process reads it once
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
    with pytest.raises(SourceUnreachable, match="was interrupted 1 times"):
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
