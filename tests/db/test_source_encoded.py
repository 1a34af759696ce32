"""Links whose content is compressed for the transfer, redirects with raw bytes, and answers without a file."""

from __future__ import annotations

import gzip
import random
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import quote

import pytest

from common.errors import AudioEmpty, ParaqueueError, SourceNotAudio, SourceNotReady, SourceTooLarge, SourceUnreachable
from tests.db.test_source_http import LIMITS, fetch, hang_up, status
from tests.db.test_source_object import client
from tests.servers import S3, HttpServer, Route
from worker.transcription.fetching.download import download
from worker.transcription.fetching.http_source import HttpSource
from worker.transcription.fetching.object_source import ObjectSource

CONTENT = bytes(random.Random(8).choices(b"abcdefgh", k=1_500_000))
PACKED = gzip.compress(CONTENT)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "download"


def packed(*, breaks: int, after: int = 200_000, changes: bool = False) -> Route:
    """Sends PACKED with ranges and breaks off the first answers; an answer to a range does not repeat the encoding."""
    left = [breaks]

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.headers.get("Range")
        first = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        handler.send_response(206 if first else 200)
        handler.send_header("Content-Length", str(len(PACKED) - first))
        handler.send_header("ETag", '"one"')
        if first:
            handler.send_header("Content-Range", f"bytes {first}-{len(PACKED) - 1}/{len(PACKED)}")
        if not first or changes:
            handler.send_header("Content-Encoding", "deflate" if first else "gzip")
        handler.end_headers()
        if left[0]:
            left[0] -= 1
            handler.wfile.write(PACKED[first : first + after])
            hang_up(handler)
        else:
            handler.wfile.write(PACKED[first:])

    return answer


def test_gzip_is_undone_though_nobody_asked_for_it(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/a"] = packed(breaks=0)
    assert fetch(http_server.url("a"), target) == CONTENT
    assert http_server.requests[0].headers["Accept-Encoding"] == "identity"


def test_a_compressed_download_is_continued_where_it_broke(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/a"] = packed(breaks=2)
    assert fetch(http_server.url("a"), target) == CONTENT
    asked = [request.headers.get("Range") for request in http_server.requests]
    assert asked == [None, "bytes=200000-", "bytes=400000-"]


def test_a_rest_in_another_encoding_begins_anew(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/a"] = packed(breaks=1, changes=True)
    assert fetch(http_server.url("a"), target) == CONTENT
    assert [request.headers.get("Range") for request in http_server.requests] == [None, "bytes=200000-", None]


def test_the_limit_counts_what_is_unpacked(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/a"] = packed(breaks=0)
    assert fetch(http_server.url("a"), target, replace(LIMITS, max_bytes=len(CONTENT))) == CONTENT
    with pytest.raises(SourceTooLarge):
        fetch(http_server.url("a"), target, replace(LIMITS, max_bytes=len(CONTENT) - 1))
    http_server.routes["/bomb"] = status(200, gzip.compress(bytes(50_000_000)), Content_Encoding="gzip")
    with pytest.raises(SourceTooLarge):
        fetch(http_server.url("bomb"), target)
    assert target.stat().st_size < LIMITS.max_bytes + 1_000_000
    # Twenty bytes a time that unpack to nothing.
    http_server.routes["/nothing"] = status(200, gzip.compress(b"") * 60_000, Content_Encoding="gzip")
    with pytest.raises(SourceTooLarge):
        fetch(http_server.url("nothing"), target, replace(LIMITS, max_bytes=500_000))


def test_compressed_content_that_ends_early_is_not_taken_for_whole(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/a"] = status(200, PACKED[:-100], Content_Encoding="gzip")
    with pytest.raises(SourceUnreachable, match="ends in the middle"):
        fetch(http_server.url("a"), target)


def test_what_cannot_be_unpacked_is_named(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/br"] = status(200, b"\x8b\x00\x80ab\x03", Content_Encoding="br")
    http_server.routes["/bad"] = status(200, PACKED[:500] + b"\xff" * 5000, Content_Encoding="gzip")
    with pytest.raises(SourceNotAudio, match="'br'"):
        fetch(http_server.url("br"), target)
    with pytest.raises(SourceNotAudio, match="damaged"):
        fetch(http_server.url("bad"), target)


def test_a_compressed_web_page_is_seen_through(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/"] = status(200, gzip.compress(b"<!doctype html><p>"), Content_Encoding="gzip")
    with pytest.raises(SourceNotAudio, match="web page"):
        fetch(http_server.url(), target)


@pytest.mark.parametrize("encoding", ["gzip", "aws-chunked,gzip"])
def test_gzip_of_an_object_is_undone(s3: S3, target: Path, encoding: str) -> None:
    client(s3).put_object(
        Bucket=s3.bucket,
        Key="packed",
        Body=PACKED,
        ContentEncoding=encoding,
        ContentDisposition="attachment; filename*=UTF-8''%E4%BC%9A.mp3",
    )
    source = ObjectSource(client(s3), s3.bucket, "packed")
    assert download(source.open, target, LIMITS, lambda: None) == "attachment; filename*=UTF-8''%E4%BC%9A.mp3"
    assert target.read_bytes() == CONTENT
    with pytest.raises(SourceTooLarge):
        download(source.open, target, replace(LIMITS, max_bytes=1_000_000), lambda: None)


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        (
            "/录音/会 议%2F一.mp3?键=值".encode(),
            f"/{quote('录音')}/{quote('会 议')}%2F{quote('一')}.mp3?{quote('键')}={quote('值')}",
        ),
        ("/录音.mp3?a=1".encode("gbk"), "/%C2%BC%D2%F4.mp3?a=1"),
        (b"\\folder\\a.mp3?b=\\c", "/folder/a.mp3?b=\\c"),
        ("会.mp3#第一段".encode(), "/from/%E4%BC%9A.mp3"),
    ],
)
def test_a_redirect_with_raw_bytes_is_followed_as_browsers_do(
    http_server: HttpServer, target: Path, location: bytes, asked: str
) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.flush_headers()
        handler.wfile.write(b"Location: " + location + b"\r\nContent-Length: 0\r\n\r\n")

    http_server.routes["/from/here"] = redirect
    with pytest.raises(ParaqueueError):  # the file does not exist; the requested name is the point
        fetch(http_server.url("from/here"), target)
    assert http_server.requests[1].path == asked


@pytest.mark.parametrize(
    ("code", "error", "words", "retryable"),
    [
        (202, SourceNotReady, "still preparing", True),
        (204, AudioEmpty, "no content", False),
        (205, AudioEmpty, "no content", False),
        (200, AudioEmpty, "empty", False),
    ],
)
def test_answers_without_a_file_are_named(
    http_server: HttpServer, target: Path, code: int, error: type[ParaqueueError], words: str, retryable: bool
) -> None:
    http_server.routes["/"] = status(code)
    with pytest.raises(error, match=words) as caught:
        fetch(http_server.url(), target)
    assert caught.value.retryable is retryable
    assert len(http_server.requests) == 1


def test_the_name_that_the_server_gives_is_returned(http_server: HttpServer, target: Path) -> None:
    http_server.routes["/"] = status(200, b"abc", Content_Disposition='attachment; filename="a.mp3"')
    source = HttpSource(http_server.url(), LIMITS, lambda: None)
    assert download(source.open, target, LIMITS, lambda: None) == 'attachment; filename="a.mp3"'
    source.close()
