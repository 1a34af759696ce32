"""http links that break, stall, trickle or change in between: continued where that is right, given up in time."""

from __future__ import annotations

import hashlib
import threading
import tracemalloc
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from common.errors import SourceTooSlow, SourceUnreachable
from tests.db.test_source_http import CONTENT, LIMITS, fetch, hang_up, status
from tests.servers import HttpServer, Route, send_file
from worker.transcription.fetching.download import download
from worker.transcription.fetching.http_source import HttpSource
from worker.transcription.stop import Stopped, StopReason, StopSignal


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "download"


def breaking(path: Path, *, after: int, etag: str | None = '"one"', times: int = 1) -> Route:
    """Sends a file, but breaks off the first `times` answers `after` bytes; knows Range and If-Range."""
    left = [times]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        content = path.read_bytes()
        range_header = handler.headers.get("Range")
        first = int(range_header.removeprefix("bytes=").rstrip("-")) if range_header else 0
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


def test_a_body_that_stalls_is_given_up(http_server: HttpServer, target: Path) -> None:
    done = threading.Event()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"abc")
        done.wait(120)

    http_server.routes["/"] = stall
    with pytest.raises(SourceUnreachable, match="ReadTimeout"):
        fetch(http_server.url(), target, replace(LIMITS, stall_seconds=0.7, resumes=0))
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
    with pytest.raises(SourceTooSlow):
        fetch(http_server.url(), target, replace(LIMITS, timeout_seconds=1))
    over.set()


def test_many_stalls_do_not_add_up_beyond_the_time_limit(http_server: HttpServer, target: Path) -> None:
    over = threading.Event()

    def silent(_: BaseHTTPRequestHandler) -> None:
        over.wait(30)

    http_server.routes["/"] = silent
    with pytest.raises(SourceTooSlow):
        fetch(http_server.url(), target, replace(LIMITS, timeout_seconds=1.5, stall_seconds=0.3, resumes=100))
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
    with pytest.raises(SourceUnreachable, match="was interrupted 3 times"):
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
    """A chunked body that breaks before its last, empty chunk: there is nothing left to request."""

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
    with pytest.raises(SourceUnreachable, match="was interrupted"):
        fetch(http_server.url(), target)


def test_nonsense_instead_of_http(http_server: HttpServer, target: Path) -> None:
    def nonsense(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"SSH-2.0-OpenSSH_9.9\r\n")
        hang_up(handler)

    http_server.routes["/"] = nonsense
    with pytest.raises(SourceUnreachable):
        fetch(http_server.url(), target, replace(LIMITS, resumes=0))


@pytest.mark.parametrize("moment", ["in the body", "before the answer"])
def test_a_download_stops_though_nothing_comes(http_server: HttpServer, target: Path, moment: str) -> None:
    waiting, over = threading.Event(), threading.Event()
    signal = StopSignal()

    def stall(handler: BaseHTTPRequestHandler) -> None:
        if moment == "in the body":
            status(200, b"abc", Content_Length="1000")(handler)
        waiting.set()
        over.wait()

    http_server.routes["/"] = stall

    def cancel() -> None:
        waiting.wait()
        signal.request(StopReason.CANCELED)

    threading.Thread(target=cancel, daemon=True).start()
    # Longer than a test may take: nothing but the signal can end it.
    without_end = replace(LIMITS, stall_seconds=3600, timeout_seconds=3600)
    with pytest.raises(Stopped):
        fetch(http_server.url(), target, without_end, check=signal.check)
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
