"""Links to local files: http(s) and S3-compatible objects, with limits, continued where they break."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpcore
import httpx
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from urllib3.exceptions import HTTPError

from common.errors import (
    AudioEmpty,
    SourceDenied,
    SourceNotAllowed,
    SourceNotAudio,
    SourceNotFound,
    SourceTooLarge,
    SourceTooSlow,
    SourceUnreachable,
)
from worker.net.ssrf import STANDARD_PORTS, GuardedBackend, Ports, fetchable

CHUNK_BYTES = 256 * 1024
CONNECT_SECONDS = 10.0
PAUSE_SECONDS = 0.5
PAGE_TYPES = {"text/html", "application/xhtml+xml"}
PAGE_STARTS = (b"<!doctype html", b"<html")
REDIRECTS = {301, 302, 303, 307, 308}
GONE = {404, 410}
REFUSED = {401, 403, 407}
BUSY = {408, 425, 429}
GONE_CODES = {"NoSuchKey", "NoSuchBucket", "404", "NotFound"}
REFUSED_CODES = {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What fetching one link may take."""

    max_bytes: int
    timeout_seconds: float
    stall_seconds: float
    max_redirects: int
    resumes: int
    allowed_private: tuple[str, ...]
    ports: Ports = STANDARD_PORTS


class Broken(Exception):
    """The connection broke; what came so far is good."""


class Changed(Broken):
    """The rest is not of the version that came so far: begin again."""


@dataclass(frozen=True, slots=True)
class SourceResponse:
    """One response: where its first byte belongs, the whole size if it is known, and what names this version."""

    offset: int
    total: int | None
    version: str | None
    chunks: Iterator[bytes]


# Opens the source at an offset, given the version that the bytes so far came from.
Open = Callable[[int, str | None], Any]


def download(opened: Open, target: Path, limits: FetchLimits, check: Callable[[], None]) -> None:
    """Copy a source into a file; `check` is called with every chunk and may raise to stop.

    Raises SourceTooLarge, SourceTooSlow, SourceUnreachable, AudioEmpty and what `opened` raises.
    """
    deadline = time.monotonic() + limits.timeout_seconds
    version: str | None = None
    breaks = 0
    with target.open("wb") as file:
        while True:
            try:
                with opened(file.tell() if version else 0, version) as answer:
                    version = answer.version
                    _copy(answer, file, limits, deadline, check)
                break
            except Broken as broken:
                breaks += 1
                if isinstance(broken, Changed):
                    version = None
                if time.monotonic() > deadline:
                    raise _too_slow(limits) from broken
                if breaks > limits.resumes:
                    raise SourceUnreachable(f"the download was interrupted {breaks} times: {broken}") from broken
                check()
                time.sleep(min(PAUSE_SECONDS * breaks, max(0.0, deadline - time.monotonic())))
        if not file.tell():
            raise AudioEmpty("the linked file is empty")


def _copy(
    answer: SourceResponse, file: BinaryIO, limits: FetchLimits, deadline: float, check: Callable[[], None]
) -> None:
    file.seek(answer.offset)
    file.truncate()
    if answer.total is not None and answer.total > limits.max_bytes:
        raise SourceTooLarge(f"the linked file has {answer.total} bytes; the limit is {limits.max_bytes}")
    for chunk in answer.chunks:
        check()
        if not file.tell() and chunk.lstrip()[:14].lower().startswith(PAGE_STARTS):
            raise SourceNotAudio("the link returns a web page, not audio")
        file.write(chunk)
        if file.tell() > limits.max_bytes:
            raise SourceTooLarge(f"the linked file exceeds the limit of {limits.max_bytes} bytes")
        if time.monotonic() > deadline:
            raise _too_slow(limits)
    if answer.total is not None and file.tell() < answer.total:
        raise Broken(f"{file.tell()} of {answer.total} bytes were received")


def _too_slow(limits: FetchLimits) -> SourceTooSlow:
    return SourceTooSlow(f"the download took longer than {limits.timeout_seconds:.0f} s")


class HttpSource:
    """An http(s) link. Use `open` with `download`, then `close`. Raises SourceNotAllowed for what is no URL.

    `check` is called while the other side is silent, too, and may raise to stop.
    """

    def __init__(self, url: str, limits: FetchLimits, check: Callable[[], None]) -> None:
        try:
            self._url = fetchable(httpx.URL(url))
        except httpx.InvalidURL:
            raise SourceNotAllowed("the link is not a URL") from None
        self._limits = limits
        self._check = check
        self._deadline = time.monotonic() + limits.timeout_seconds
        backend = GuardedBackend(limits.allowed_private, self._look_up, limits.ports)
        self._pool = httpcore.ConnectionPool(network_backend=backend)
        seconds = limits.stall_seconds
        self._timeouts = {"connect": CONNECT_SECONDS, "read": seconds, "write": seconds, "pool": seconds}

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _look_up(self) -> None:
        self._check()
        if time.monotonic() > self._deadline:
            raise _too_slow(self._limits)

    def open(self, offset: int, version: str | None) -> _HttpAnswer:
        """Ask for the bytes from `offset` on, if they are still of the same version."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "paraqueue"}
        if offset and version:
            headers |= {"Range": f"bytes={offset}-", "If-Range": version}
        url = self._url
        for _ in range(self._limits.max_redirects + 1):
            response = self._send(url, headers)
            if response.status not in REDIRECTS:
                return _HttpAnswer(response, offset, version)
            location = _headers(response).get(b"location", "")
            response.close()
            url = self._followed(url, location)
        raise SourceUnreachable(f"the link has more than {self._limits.max_redirects} redirects")

    def _send(self, url: httpx.URL, headers: dict[str, str]) -> httpcore.Response:
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        host = url.netloc.decode("ascii")
        request = httpcore.Request(
            "GET", target, headers=list({**headers, "Host": host}.items()), extensions={"timeout": self._timeouts}
        )
        try:
            return self._pool.handle_request(request)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise Broken(f"{url.host} does not respond ({type(error).__name__})") from error

    def _followed(self, url: httpx.URL, location: str) -> httpx.URL:
        try:
            target = url.join(location)
        except httpx.InvalidURL:
            raise SourceUnreachable("the link redirects to an invalid URL") from None
        if not location or target.scheme not in {"http", "https"} or not target.host:
            raise SourceNotAllowed("the link redirects to a URL that is not http or https")
        if url.scheme == "https" and target.scheme == "http":
            raise SourceNotAllowed("the link redirects from https to http")
        return fetchable(target)


class _HttpAnswer:
    """A response as an `Answer`, closed at the end."""

    def __init__(self, response: httpcore.Response, offset: int, version: str | None) -> None:
        self._response = response
        self._asked_offset = offset
        self._asked_version = version

    def __enter__(self) -> SourceResponse:
        try:
            return self._answer()
        except BaseException:
            self._response.close()
            raise

    def __exit__(self, *_: object) -> None:
        self._response.close()

    def _answer(self) -> SourceResponse:
        status = self._response.status
        headers = _headers(self._response)
        _refuse(status)
        if headers.get(b"content-type", "").partition(";")[0].strip().lower() in PAGE_TYPES:
            raise SourceNotAudio("the link returns a web page, not audio")
        etag = headers.get(b"etag", "")
        strong = etag if etag and not etag.startswith("W/") else None
        version = strong or headers.get(b"last-modified")
        offset = self._asked_offset if status == 206 else 0
        if status == 206:
            self._check_continues(version, headers.get(b"content-range", ""))
        length = headers.get(b"content-length", "")
        total = offset + int(length) if length.isdigit() else None
        return SourceResponse(offset, total, version, self._chunks())

    def _check_continues(self, version: str | None, content_range: str) -> None:
        """Not every server that knows Range knows If-Range."""
        first = content_range.removeprefix("bytes ").partition("-")[0]
        if version not in {None, self._asked_version} or first != str(self._asked_offset):
            raise Changed("the rest that came is not the rest of what came so far")

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from self._response.iter_stream()
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise Broken(f"the connection was lost ({type(error).__name__})") from error


def _headers(response: httpcore.Response) -> dict[bytes, str]:
    return {name.lower(): value.decode("latin-1") for name, value in response.headers}


def _refuse(status: int) -> None:
    if status in {200, 206}:
        return
    if status == 416:
        raise Changed("the link has no more bytes than came so far")
    if status in GONE:
        raise SourceNotFound(f"the link returned {status}")
    if status in REFUSED:
        raise SourceDenied(f"the link returned {status}; a signed link may have expired")
    if status in BUSY or status >= 500:
        raise SourceUnreachable(f"the link returned {status}")
    raise SourceDenied(f"the link returned {status}")


class ObjectSource:
    """An object in an S3-compatible store. Use `open` with `download`."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client = client
        self._where = {"Bucket": bucket, "Key": key}

    def open(self, offset: int, version: str | None) -> _ObjectAnswer:
        """Ask for the bytes from `offset` on, if they are still of the same version."""
        more = {"Range": f"bytes={offset}-", "IfMatch": version} if offset and version else {}
        try:
            return _ObjectAnswer(self._client.get_object(**self._where, **more), offset)
        except ClientError as error:
            raise _object_error(error) from error
        except ParamValidationError as error:
            raise SourceNotAllowed("the link has no bucket and object key") from error
        except BotoCoreError as error:
            raise Broken(f"the object store does not respond ({type(error).__name__})") from error


class _ObjectAnswer:
    """A get_object result as an `Answer`, closed at the end."""

    def __init__(self, result: dict[str, Any], offset: int) -> None:
        self._result = result
        self._offset = offset

    def __enter__(self) -> SourceResponse:
        total = self._offset + int(self._result["ContentLength"])
        return SourceResponse(self._offset, total, self._result.get("ETag"), self._chunks())

    def __exit__(self, *_: object) -> None:
        self._result["Body"].close()

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from self._result["Body"].iter_chunks(CHUNK_BYTES)
        except (BotoCoreError, HTTPError) as error:
            raise Broken(f"the connection was lost ({type(error).__name__})") from error


def _object_error(error: ClientError) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    if code in GONE_CODES:
        return SourceNotFound(f"the object store answers {code}")
    if code in REFUSED_CODES:
        return SourceDenied(f"the object store answers {code}")
    if code in {"PreconditionFailed", "412"}:
        return Changed("the object changed while it was downloaded")
    return SourceUnreachable(f"the object store answers {code}")
