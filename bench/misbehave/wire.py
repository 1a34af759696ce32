"""HTTP/1.1 on raw streams: the load shares two cores with the service, so a request must cost little."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

HEAD_END = b"\r\n\r\n"
READ_BYTES = 64 * 1024
BOUNDARY = "bench"
# Longer than any call of the benchmark waits; a service that does not answer ends the run.
ANSWER_SECONDS = 120.0


class Refused(Exception):
    """The server closed the connection instead of answering."""


def request(method: str, path: str, key: str, body: bytes = b"", kind: str = "application/json") -> bytes:
    """A complete request."""
    return head(method, path, key, len(body) if body else None, kind) + body


def head(method: str, path: str, key: str, length: int | None = None, kind: str = "") -> bytes:
    """The head of a request, with a content type and length if it has a body."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}"]
    if length is not None:
        lines += [f"Content-Type: {kind}", f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def form(content: bytes, name: str) -> tuple[str, bytes]:
    """The content type and body of a form with one file."""
    start = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    return f"multipart/form-data; boundary={BOUNDARY}", start + content + f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass
class Connection:
    """A keep-alive connection for one request at a time, opened when it is needed."""

    port: int
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = field(default=None, init=False)

    async def ask(self, *pieces: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and body of the response. Raises Refused, OSError."""
        if self._streams is not None and self._streams[0].at_eof():
            self.close()  # the server ends connections that were idle for some seconds
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        answered = False
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await _send(writer, pieces)
                status, body, keeps = await _answer(reader)
            answered = keeps
            return status, body
        finally:
            if not answered:
                self.close()

    def close(self) -> None:
        """Close it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _send(writer: asyncio.StreamWriter, pieces: Iterable[bytes]) -> None:
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    except ConnectionError:
        pass  # the server may have answered before it read everything


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    try:
        received = (await reader.readuntil(HEAD_END)).lower()
        length = 0
        place = received.find(b"content-length: ")
        if place >= 0:
            length = int(received[place + 16 : received.find(b"\r\n", place)])
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Refused("no response") from error
    return int(received[9:12]), body, b"connection: close" not in received
