"""Copies a link's content to a local file, within limits, and resumes after a broken connection.

`http_source` and `object_source` open the links.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from common.errors import AudioEmpty, SourceNotAudio, SourceTooLarge, SourceTooSlow, SourceUnreachable
from worker.transcription.fetching.content_encoding import BadEncoding, Chain, layers
from worker.transcription.fetching.limits import FetchLimits, RateFloor

PAUSE_SECONDS = 0.5
PAGE_STARTS = (b"<!doctype html", b"<html")


class Broken(Exception):
    """The connection broke; the bytes received so far are valid."""


class Changed(Broken):
    """The source has changed since the first bytes were received; start again."""


@dataclass(frozen=True, slots=True)
class SourceResponse:
    """One response.

    offset: of its first byte. total: the bytes of the whole, if known. version: identifies what is sent.
    encoding: its Content-Encoding, to which offset and total refer; None if a response to a range has none.
    disposition: its Content-Disposition.
    """

    offset: int
    total: int | None
    version: str | None
    chunks: Iterator[bytes]
    encoding: str | None = ""
    disposition: str | None = None


# Opens the source at an offset; the second argument is the version of the bytes received so far.
Open = Callable[[int, str | None], Any]


def download(
    opened: Open, target: Path, limits: FetchLimits, check: Callable[[], None], floor: RateFloor | None = None
) -> str | None:
    """Copy a source to a file; `check` is called for every chunk and may raise to stop.

    `floor` counts what was received; a source that also checks it while it waits needs the same one. Returns the
    Content-Disposition, if there is one. Raises SourceTooLarge, SourceTooSlow, SourceRateTooLow, SourceUnreachable,
    SourceNotAudio, AudioEmpty and what `opened` raises.
    """
    deadline = time.monotonic() + limits.timeout_seconds
    floor = floor or RateFloor(limits)
    version: str | None = None
    breaks = 0
    with target.open("wb") as file:
        content = _Content(file, limits.max_bytes)
        while True:
            try:
                with opened(content.received if version else 0, version) as answer:
                    version = answer.version
                    _copy(answer, content, _Clock(limits, deadline, floor), check)
                    disposition: str | None = answer.disposition
                break
            except Broken as broken:
                breaks += 1
                if isinstance(broken, Changed):
                    version = None
                if time.monotonic() > deadline:
                    raise too_slow(limits) from broken
                floor.check()
                if breaks > limits.resumes:
                    raise SourceUnreachable(f"the download was interrupted {breaks} times: {broken}") from broken
                check()
                time.sleep(min(PAUSE_SECONDS * breaks, max(0.0, deadline - time.monotonic())))
            except BadEncoding as error:
                raise SourceNotAudio(str(error)) from error
        if not file.tell():
            raise AudioEmpty("the link works, but there is nothing behind it: its content is empty")
    return disposition


class _Content:
    """The file with what was received so far, without its Content-Encoding.

    received: how many bytes came, as they were sent: where to resume. The state of the decompression is kept for that.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        self._file, self._max_bytes = file, max_bytes
        self._layers: tuple[str, ...] = ()
        self._chain = Chain(())
        self.received = 0

    def go_on_with(self, answer: SourceResponse) -> None:
        """Prepare for a response. Raises Changed, BadEncoding, SourceTooLarge."""
        if answer.offset:
            if answer.encoding is not None and layers(answer.encoding) != self._layers:
                raise Changed("the encoding of the content changed in between")
        else:
            self._file.seek(0)
            self._file.truncate()
            self.received = 0
            self._layers = layers(answer.encoding)
            self._chain = Chain(self._layers)
        # The announced length is that of the encoded content, which says nothing about the limit of the decoded one.
        if answer.total is not None and answer.total > self._max_bytes and not self._layers:
            raise SourceTooLarge(f"the linked file has {answer.total} bytes; the limit is {self._max_bytes}")

    def write(self, chunk: bytes, check: Callable[[], None]) -> None:
        """Append received bytes. Raises BadEncoding, SourceNotAudio, SourceTooLarge."""
        self.received += len(chunk)
        if self.received > 2 * self._max_bytes:  # compressed content may expand to nothing indefinitely
            raise self._too_large()
        for piece in self._chain.decode(chunk):
            check()
            if not self._file.tell() and piece.lstrip()[:14].lower().startswith(PAGE_STARTS):
                raise SourceNotAudio("the link returns a web page, not audio")
            self._file.write(piece)
            if self._file.tell() > self._max_bytes:
                raise self._too_large()

    def _too_large(self) -> SourceTooLarge:
        return SourceTooLarge(f"the linked file exceeds the limit of {self._max_bytes} bytes")

    @property
    def complete(self) -> bool:
        """Whether the content has ended, as far as its encoding tells."""
        return self._chain.complete


@dataclass(frozen=True, slots=True)
class _Clock:
    """The time that a download may take, in all and per byte."""

    limits: FetchLimits
    deadline: float
    floor: RateFloor


def _copy(answer: SourceResponse, content: _Content, clock: _Clock, check: Callable[[], None]) -> None:
    content.go_on_with(answer)
    for chunk in answer.chunks:
        check()
        content.write(chunk, check)
        clock.floor.check(len(chunk))
        if time.monotonic() > clock.deadline:
            raise too_slow(clock.limits)
    if answer.total is not None and content.received < answer.total:
        raise Broken(f"{content.received} of {answer.total} bytes were received")
    if not content.complete:
        raise Broken("the compressed content ends in the middle")


def too_slow(limits: FetchLimits) -> SourceTooSlow:
    """The error for a download that exceeds its time limit."""
    return SourceTooSlow(f"the download took longer than {limits.timeout_seconds:.0f} s")
