"""Streaming multipart parser: a file of any size goes to storage in chunks as it arrives.

Starlette's own form parser spools the whole body to disk before the route runs; this one passes each chunk of the
file on at once, and stops at the first byte over the limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from api.http.body_writer import PIECE_BYTES, OrderedWriter
from api.http.threads import in_storage_thread
from common import file_names
from common.errors import AudioEmpty, InvalidRequest, UploadIncomplete, UploadTooLarge
from common.storage import Stored, Writer

FIELD_BYTES = 64 * 1024
FIELDS = 64
BOUNDARY_BYTES = 70  # RFC 2046
# Room for everything except the file: fields, boundaries, headers.
FORM_SLACK_BYTES = 8 * 1024 * 1024


@dataclass
class Form:
    """The parsed form: the plain fields, in order, and the file, if its bytes are in storage."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    file_name: str | None = None
    stored: Stored | None = None


async def read_form(content_type: str, body: AsyncIterator[bytes], writer: Writer, *, max_bytes: int) -> Form:
    """Read the form and write its part named `file` to `writer`, which is committed at the end.

    Raises InvalidRequest, UploadTooLarge, UploadIncomplete, AudioEmpty, and what the writer raises. The caller must
    then abort the writer.
    """
    reader = _Reader(content_type, writer, max_bytes)
    received = 0
    try:
        async for chunk in body:
            received += len(chunk)
            if received > max_bytes + FORM_SLACK_BYTES:  # the data around the parts has no limit of its own
                raise UploadTooLarge(f"the form is larger than the limit of {max_bytes} bytes for its file")
            reader.feed(chunk)
            await reader.hand_over(at_least=PIECE_BYTES)
        return await reader.finish()
    except ClientDisconnect:
        raise UploadIncomplete("the connection closed before the upload was complete") from None
    finally:
        await reader.abandon()  # the caller may abort the writer, so no thread may still be using it


class _Reader:
    """The parser's callbacks and their collected data."""

    def __init__(self, content_type: str, writer: Writer, max_bytes: int) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary or len(boundary) > BOUNDARY_BYTES:
            raise InvalidRequest("the body is neither JSON nor a multipart form with a boundary")
        self._form = Form()
        self._writer = writer
        self._conveyor = OrderedWriter(writer.write)
        self._max_bytes = max_bytes
        self._size = 0
        self._header_name = b""
        self._header_value = b""
        self._disposition: dict[bytes, bytes] = {}
        self._in_file = False
        self._value = bytearray()
        self._pending = bytearray()
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begins,
                "on_part_data": self._part_data,
                "on_part_end": self._part_ends,
                "on_header_field": self._header_field,
                "on_header_value": self._header_text,
                "on_header_end": self._header_ends,
                "on_headers_finished": self._headers_finished,
                "on_end": self._form_ends,
            },
        )

    def feed(self, chunk: bytes) -> None:
        """Parse the next chunk of the body."""
        try:
            self._parser.write(chunk)
        except MultipartParseError as error:
            raise InvalidRequest(f"the multipart form is malformed: {error}") from None

    async def hand_over(self, *, at_least: int) -> None:
        """Pass the buffered bytes of the file to storage."""
        if self._pending and len(self._pending) >= at_least:
            piece, self._pending = bytes(self._pending), bytearray()
            await self._conveyor.put(piece)

    async def abandon(self) -> None:
        """Wait for writes in progress."""
        await self._conveyor.abandon()

    async def finish(self) -> Form:
        """Check that the form is complete, and commit the file."""
        if not self._ended:
            raise UploadIncomplete("the form is incomplete: its final boundary is missing")
        if self._form.file_name is None:
            raise InvalidRequest("the form has no part named `file`")
        if not self._size:
            raise AudioEmpty("the uploaded file is empty")
        await self.hand_over(at_least=1)
        await self._conveyor.settle()
        self._form.stored = await in_storage_thread(self._writer.commit)
        return self._form

    def _part_begins(self) -> None:
        self._disposition = {}
        self._in_file = False
        self._value.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_text(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, self._disposition = parse_options_header(self._header_value)
        self._header_name = self._header_value = b""

    def _headers_finished(self) -> None:
        if self._disposition.get(b"name") != b"file":
            return
        if self._form.file_name is not None:
            raise InvalidRequest("the form has more than one part named `file`")
        self._in_file = True
        name = self._disposition.get(b"filename", b"").decode("utf-8", "replace")
        self._form.file_name = file_names.plain(name) or "audio"

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if not self._in_file:
            if len(self._value) + end - start > FIELD_BYTES:
                raise InvalidRequest("a field of the form is too long")
            self._value += data[start:end]
            return
        self._size += end - start
        if self._size > self._max_bytes:
            raise UploadTooLarge(f"the file is larger than the limit of {self._max_bytes} bytes")
        self._pending += memoryview(data)[start:end]

    def _part_ends(self) -> None:
        if self._in_file:
            return
        name = self._disposition.get(b"name", b"").decode("utf-8", "replace")
        if len(self._form.fields) >= FIELDS:
            raise InvalidRequest("the form has too many fields")
        self._form.fields.append((name, self._value.decode("utf-8", "replace")))

    def _form_ends(self) -> None:
        self._ended = True
