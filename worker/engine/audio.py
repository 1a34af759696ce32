"""Any audio file to blocks of 16 kHz PCM, decoded by ffmpeg in a child process (see `ffmpeg.py`).

The child dies with the thread that opened the reader (PR_SET_PDEATHSIG follows the thread, not the process):
open and read in one thread.
"""

from __future__ import annotations

import io
import os
import select
import signal
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import imageio_ffmpeg  # type: ignore[import-untyped, unused-ignore]
import numpy as np
import numpy.typing as npt

from common.errors import (
    AudioEmpty,
    AudioMissing,
    AudioNotDecodable,
    AudioTooLong,
    AudioTruncated,
    DecodeLimit,
    DecodeStalled,
    ParaqueueError,
)
from worker.engine import ffmpeg

SAMPLE_RATE = 16_000
PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
MISSING_MS = 500  # what a file may lack without being called truncated …
MISSING_SHARE = 0.01  # … or this share of it, whichever is more
MAX_CHANNELS = 64
PROBES = 10
PROBE_SECONDS = 0.1

Block = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What decoding one file may cost; `idle_timeout_seconds` is the longest wait for the next sample."""

    max_duration_ms: int | None
    cpu_seconds: int
    memory_bytes: int
    idle_timeout_seconds: float


class AudioReader:
    """A file as a stream of 16 kHz blocks; a context manager that leaves no child behind.

    channels: of the blocks; 1, a mix-down, unless `split_channels`.
    duration_ms: what the file declares, None where it declares nothing or ffmpeg could only estimate.
    Opening raises AudioEmpty, AudioMissing, AudioNotDecodable, AudioTruncated, AudioTooLong, DecodeLimit
    or DecodeStalled.
    """

    def __init__(self, path: Path, *, split_channels: bool, limits: DecodeLimits, program: str | None = None) -> None:
        self._limits = limits
        self._samples = 0
        self._ended = False
        self._timed_out = False
        self._computing = False
        with Path(path).open("rb", buffering=0) as file:
            _check_bytes(file)
            self._head = file.read(8)
            file.seek(0)  # the child shares the position from here on
            self._child = ffmpeg.start(
                program or imageio_ffmpeg.get_ffmpeg_exe(),
                file,
                split_channels=split_channels,
                cpu_seconds=limits.cpu_seconds,
                memory_bytes=limits.memory_bytes,
            )
        self._report = ffmpeg.Report(ffmpeg.pipe(self._child.stderr))
        self._out = ffmpeg.pipe(self._child.stdout)
        try:
            self.channels = self._read_header()
            self._report.wait_for_input()
            self.duration_ms: int | None = self._report.declared_ms
            self._check_declared_length()
        except BaseException:
            self.close()
            raise

    def blocks(self, block_samples: int) -> Iterator[Block]:
        """Blocks int16 [channels, n], n = block_samples but for the last, which is shorter.

        Raises the errors of opening, as soon as they show, and AudioTruncated at the end.
        """
        size = block_samples * self.channels * 2
        while not self._ended:
            data = self._read(size)
            count = len(data) // (2 * self.channels)
            self._samples += count
            limit = self._limits.max_duration_ms
            if limit is not None and self._samples * 1000 > limit * SAMPLE_RATE:
                self.close()
                raise _too_long(limit)
            if len(data) < size:
                self._ended = True
                self._check_end()
            if count:
                pairs = np.frombuffer(data, np.int16, count * self.channels).reshape(count, self.channels)
                yield np.ascontiguousarray(pairs.T)

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._child.pid

    def close(self) -> None:
        """End the child and wait for it. May be called twice."""
        self._ended = True
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        self._report.close()
        self._out.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, size: int) -> bytes:
        """Exactly `size` bytes, fewer at the end of the sound or when the child said nothing for too long."""
        parts: list[bytes] = []
        missing = size
        while missing:
            ready, _, _ = select.select([self._out], [], [], self._limits.idle_timeout_seconds)
            if not ready:
                if self._give_up():
                    break
                continue
            part = os.read(self._out.fileno(), min(missing, ffmpeg.PIPE_BYTES))
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _give_up(self) -> bool:
        """After a long silence: end the child, unless something comes just now.

        One that computes all the time has a file that is made to be laborious; one that waits for bytes which do not
        come has a disk that hangs.
        """
        for _ in range(PROBES):
            self._computing |= ffmpeg.is_computing(self._child.pid)
            if select.select([self._out], [], [], PROBE_SECONDS)[0]:
                return False
        self._timed_out = True
        self._child.kill()
        return True

    def _read_header(self) -> int:
        """The number of channels, from the wav header that ffmpeg writes; then the pipe is at the samples."""
        opening = self._read(12)
        channels = 0
        while len(opening) == 12:
            head = self._read(8)
            if len(head) < 8:
                break
            name, length = struct.unpack("<4sI", head)
            if name == b"data":
                return channels
            chunk = self._read(length)
            if name == b"fmt ":
                channels = int(struct.unpack_from("<H", chunk, 2)[0])
        raise self._why_it_ended()

    def _check_declared_length(self) -> None:
        limit = self._limits.max_duration_ms
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise AudioNotDecodable(f"the audio has {self.channels} channels")
        # Where the length is exact, the file fails either way; where it is not, only the samples count.
        if limit is not None and self.duration_ms and self._report.exact and self.duration_ms > limit:
            raise _too_long(limit)

    def _check_end(self) -> None:
        """After the last byte: was it the end of the sound, or of the child?"""
        code = self._wait()
        self._report.close()  # all that was said has been heard now
        if code != 0 or self._timed_out:
            raise self._why_it_ended()
        if self._samples == 0:
            raise AudioEmpty("the audio track has no samples")
        decoded = self._samples * 1000 // SAMPLE_RATE
        declared = self._report.declared_ms
        if declared is None:
            return
        short = decoded < declared - max(MISSING_MS, MISSING_SHARE * declared)
        if short and (self._report.exact or self._report.broken_off):
            raise AudioTruncated(f"the file declares {declared} ms of audio but ends after {decoded} ms")

    def _wait(self) -> int:
        try:
            return self._child.wait(timeout=self._limits.idle_timeout_seconds)
        except subprocess.TimeoutExpired:
            self._timed_out = True
            self._child.kill()
            return self._child.wait()

    def _why_it_ended(self) -> ParaqueueError:
        code = self._wait()
        self._report.close()
        if self._timed_out:
            silence = f"no sound came for {self._limits.idle_timeout_seconds:g} s"
            if self._computing:
                return DecodeLimit(f"{silence} although the decoder was at work")
            return DecodeStalled(f"{silence}: the decoder waits for the file")
        if code in (-signal.SIGXCPU, -signal.SIGKILL):
            return DecodeLimit(f"decoding took more than {self._limits.cpu_seconds} s of processor time")
        words = self._report.last_words()
        if "Cannot allocate memory" in words or "pthread_create() failed" in words:
            return DecodeLimit(f"decoding needed more than {self._limits.memory_bytes} bytes of memory")
        if self._head.startswith(PICTURES):
            return AudioMissing("the file is a picture")
        if self._report.opened and not self._report.has_sound:
            return AudioMissing("the file has no sound track")
        if "not on whitelist" in words:
            return AudioNotDecodable("the file is not of a kind that is accepted (playlists and text are not)")
        return AudioNotDecodable(f"ffmpeg cannot decode the file: {words or f'exit status {code}'}")


def _check_bytes(file: io.FileIO) -> None:
    """Raise AudioEmpty for no bytes, AudioTruncated for a wav file that has fewer than it declares."""
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise AudioEmpty("the file is empty")
    declared = _wav_data(file)
    file.seek(0)
    if declared is None:
        return
    offset, length, bytes_per_second = declared
    missing = length - (size - offset)
    if size > offset and missing > bytes_per_second * MISSING_MS // 1000:
        raise AudioTruncated(f"the wav file declares {length} bytes of audio but has {size - offset}")


def _wav_data(file: io.FileIO) -> tuple[int, int, int] | None:
    """(offset, length, bytes per second) of a wav file's samples; None for others and for unknown lengths.

    Encoders that write to a pipe leave 0, 0xFFFFFFFF or something just below 2 or 4 GiB as the length.
    """
    kind, _, form = struct.unpack("<4sI4s", file.read(12).ljust(12))
    if kind not in (b"RIFF", b"RF64") or form != b"WAVE":
        return None
    long_length, bytes_per_second = None, 0
    for _ in range(100):
        head = file.read(8)
        if len(head) < 8:
            return None
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            unknown = length == 0 or length >= 0xFFFF0000 or 0x7FFF0000 <= length <= 0x80000000
            known = long_length if long_length is not None and length == 0xFFFFFFFF else None if unknown else length
            return None if not known or not bytes_per_second else (file.tell(), known, bytes_per_second)
        body = file.read(min(length, 64)) if name in (b"fmt ", b"ds64") else b""
        if name == b"ds64" and len(body) >= 16:
            long_length = int(struct.unpack_from("<Q", body, 8)[0])
        if name == b"fmt " and len(body) >= 12:
            bytes_per_second = int(struct.unpack_from("<I", body, 8)[0])
        file.seek(length - len(body) + (length & 1), os.SEEK_CUR)
    return None


def _too_long(limit_ms: int) -> AudioTooLong:
    return AudioTooLong(f"the audio is longer than the limit of {limit_ms / 60_000:g} minutes")
