"""Reads any audio file as 16 kHz PCM blocks on the recording's clock, decoded in a child process (see `decoding`)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import numpy as np
import numpy.typing as npt

from common.errors import AudioEmpty, AudioNotDecodable, AudioTooLong
from common.transcript.recording import AudioTrack, RecordingWarning
from worker.engine.decoding import messages
from worker.engine.decoding.process import Child, Order

SAMPLE_RATE = 16_000

Block = npt.NDArray[np.int16]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits for decoding one file; `idle_timeout_seconds` is the longest wait for the next sample."""

    max_duration_ms: int | None
    cpu_seconds: int
    memory_bytes: int
    idle_timeout_seconds: float


class AudioReader:
    """A file as a stream of 16 kHz blocks; a context manager that ends its child process. For use in one thread.

    channels: number of channels of the blocks; 1 unless `channels` is `split` or `auto`, or `track` is `all` (then
    one per track). tracks: the audio tracks of the file. warnings: the defects of the file found so far; complete at
    the end. duration_ms: the declared length, or None if the file declares none.
    Opening raises AudioEmpty, AudioMissing, AudioNotDecodable, AudioTruncated, AudioTooLong, TrackNotFound or
    DecodeLimit.
    """

    def __init__(
        self,
        path: Path,
        *,
        limits: DecodeLimits,
        channels: str = "mix",
        track: str = "default",
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Start the child, and wait for what it finds out before the first sample.

        `check` is called before each wait for the child and several times a second during it; opening and `blocks`
        raise what it raises.
        """
        self._limits = limits
        self._samples = 0
        self._ended = False
        self.warnings: tuple[RecordingWarning, ...] = ()
        with Path(path).open("rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size == 0:
                raise AudioEmpty("the file has no bytes")
            self._child = Child(
                file,
                Order("pcm", track, channels, limit_ms=limits.max_duration_ms),
                cpu_seconds=limits.cpu_seconds,
                memory_bytes=limits.memory_bytes,
                idle_seconds=limits.idle_timeout_seconds,
                check=check,
            )
        self._messages = self._child.messages()
        try:
            head = self._head()
            self.channels, self.duration_ms, self.tracks = head.channels, head.declared_ms, head.tracks
            limit = limits.max_duration_ms
            # If the length is exact, the file would fail anyway; if it is not, only the samples count.
            if limit is not None and head.exact and (head.declared_ms or 0) > limit:
                raise _too_long(limit)
        except BaseException:
            self.close()
            raise

    tracks: tuple[AudioTrack, ...]

    def blocks(self, block_samples: int) -> Iterator[Block]:
        """Blocks int16 [channels, n], n = block_samples except for the last, which may be shorter.

        Raises the same errors as opening, as soon as they are detected.
        """
        size = block_samples * self.channels * 2
        rest = bytearray()
        for data in self._sound():
            rest += data
            while len(rest) >= size:
                yield self._block(bytes(rest[:size]))
                del rest[:size]
        if rest:
            yield self._block(bytes(rest))
        self._ended = True

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._child.pid

    def close(self) -> None:
        """End the child and wait for it. May be called twice."""
        self._ended = True
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _head(self) -> messages.Head:
        kind, payload = next(self._messages, (b"", b""))
        if kind != messages.HEAD:
            raise AudioNotDecodable("the decoder failed over this file")
        return _believed(messages.parse_head, payload)

    def _sound(self) -> Iterator[bytes]:
        """The bytes of the samples; warnings are recorded along the way."""
        while not self._ended:
            kind, payload = next(self._messages, (messages.END, b""))
            if kind == messages.END:
                return
            if kind == messages.WARNING:
                self.warnings = _believed(messages.parse_warnings, payload)
            elif kind == messages.SOUND:
                yield payload

    def _block(self, data: bytes) -> Block:
        count = len(data) // (2 * self.channels)
        self._samples += count
        limit = self._limits.max_duration_ms
        if limit is not None and self._samples * 1000 > limit * SAMPLE_RATE:
            self.close()
            raise _too_long(limit)
        pairs = np.frombuffer(data, np.int16, count * self.channels).reshape(count, self.channels)
        return np.ascontiguousarray(pairs.T)


def _believed(parse: Callable[[bytes], T], payload: bytes) -> T:
    try:
        return parse(payload)
    except messages.BadMessage as error:
        raise AudioNotDecodable("the decoder failed over this file") from error


def _too_long(limit_ms: int) -> AudioTooLong:
    return AudioTooLong(f"the audio is longer than the limit of {limit_ms / 60_000:g} minutes")
