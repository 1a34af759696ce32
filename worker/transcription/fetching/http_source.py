"""Opens http and https links for `download`, following redirects; connections go through the guard of `worker.net`."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from functools import cache

import httpcore
import httpx

from common.errors import (
    AudioEmpty,
    SourceDenied,
    SourceNotAllowed,
    SourceNotAudio,
    SourceNotFound,
    SourceNotReady,
    SourceUnreachable,
)
from common.links import checked_redirect, checked_url
from worker.net.ssrf import GuardedBackend
from worker.transcription.fetching.download import Broken, Changed, SourceResponse, too_slow
from worker.transcription.fetching.limits import FetchLimits

CONNECT_SECONDS = 10.0
PAGE_TYPES = {"text/html", "application/xhtml+xml"}
REDIRECTS = {301, 302, 303, 307, 308}
GONE = {404, 410}
REFUSED = {401, 403, 407}
BUSY = {408, 425, 429}
CONTENT = {200, 203, 206}
NO_CONTENT = {204, 205}


class HttpSource:
    """An http(s) link. Use `open` with `download`, then `close`. Raises SourceNotAllowed for an invalid URL.

    `check` is also called while the server is silent, and may raise to stop.
    """

    def __init__(self, url: str, limits: FetchLimits, check: Callable[[], None]) -> None:
        try:
            self._url = checked_url(httpx.URL(url))
        except httpx.InvalidURL:
            raise SourceNotAllowed("the link is not a URL") from None
        self._limits = limits
        self._check = check
        self._deadline = time.monotonic() + limits.timeout_seconds
        backend = GuardedBackend(limits.allowed_private, self._look_up, limits.ports)
        self._pool = httpcore.ConnectionPool(ssl_context=tls(), network_backend=backend)
        seconds = limits.stall_seconds
        self._timeouts = {"connect": CONNECT_SECONDS, "read": seconds, "write": seconds, "pool": seconds}

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _look_up(self) -> None:
        self._check()
        if time.monotonic() > self._deadline:
            raise too_slow(self._limits)

    def open(self, offset: int, version: str | None) -> _HttpAnswer:
        """Request the bytes from `offset` on, provided that the version has not changed."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "paraqueue"}
        if offset and version:
            headers |= {"Range": f"bytes={offset}-", "If-Range": version}
        url = self._url
        for _ in range(self._limits.max_redirects + 1):
            response = self._send(url, headers)
            if response.status not in REDIRECTS:
                return _HttpAnswer(response, offset, version)
            location = _location(response)
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
            target = url.join(location) if location else httpx.URL()
        except (httpx.InvalidURL, UnicodeError):
            raise SourceUnreachable("the link redirects to an invalid URL") from None
        return checked_redirect(url, target)


class _HttpAnswer:
    """An HTTP response as a `SourceResponse`, closed at the end."""

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
        # A response to a range may leave out what the first one said of the whole (RFC 9110, 15.3.7).
        encoding = headers.get(b"content-encoding", None if offset else "")
        disposition = headers.get(b"content-disposition")
        return SourceResponse(offset, total, version, self._chunks(), encoding=encoding, disposition=disposition)

    def _check_continues(self, version: str | None, content_range: str) -> None:
        """Check that the response continues the same version: not every server with Range supports If-Range."""
        first = content_range.removeprefix("bytes ").partition("-")[0]
        if version not in {None, self._asked_version} or first != str(self._asked_offset):
            raise Changed("the file changed while it was downloaded")

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from self._response.iter_stream()
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise Broken(f"the connection was lost ({type(error).__name__})") from error


@cache
def tls() -> ssl.SSLContext:
    """The TLS settings of all downloads: reading the certificates takes some 50 ms of processor time."""
    return httpcore.default_ssl_context()


def _headers(response: httpcore.Response) -> dict[bytes, str]:
    return {name.lower(): value.decode("latin-1") for name, value in response.headers}


def _location(response: httpcore.Response) -> str:
    """Where a redirect leads, read as browsers do (WHATWG).

    Servers send raw UTF-8; the URL parser then encodes host, path and query by their own rules. Bytes in any other
    encoding are percent-encoded as they are: only that server knows what they mean.
    """
    raw = next((value for name, value in response.headers if name.lower() == b"location"), b"")
    try:
        location = raw.decode("utf-8")
    except UnicodeDecodeError:
        location = "".join(chr(byte) if byte < 0x80 else f"%{byte:02X}" for byte in raw)
    path, mark, query = location.strip().partition("?")
    return path.replace("\\", "/") + mark + query


def _refuse(status: int) -> None:
    """Raise the error for an unsuccessful status, with a message for the person who sent the link."""
    if status in CONTENT:
        return
    if status == 202:
        raise SourceNotReady("the link returned 202: its server is still preparing the recording")
    if status in NO_CONTENT:
        raise AudioEmpty(f"the link returned {status}: it works, but there is no content behind it")
    if status == 416:
        raise Changed("the link returned no more bytes, although the download was incomplete")
    if status in GONE:
        raise SourceNotFound(f"the link returned {status}: there is no such file, or no longer")
    if status in REFUSED:
        raise SourceDenied(f"the link returned {status}: it needs signing in, or a signed link has expired")
    if status in BUSY or status >= 500:
        raise SourceUnreachable(f"the link returned {status}: its server is overloaded or out of order")
    raise SourceDenied(f"the link returned {status} instead of the file")
