"""Starts the decoding child and reads its messages.

The child is a separate Python process, forked from one that has imported its libraries. It receives the open file as
its standard input and opens no other: its libraries support no network protocols, only audio containers. The kernel
limits its CPU time, memory and files, and it ends with this process.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from common import errors
from common.errors import AudioNotDecodable, DecodeLimit, DecodeStalled, ParaqueueError
from common.telemetry import get_logger
from worker.engine.decoding import forking, messages
from worker.engine.decoding.fork_server import Request
from worker.engine.decoding.messages import BadMessage

log = get_logger(__name__)
PIPE_BYTES = 1 << 20
F_SETPIPE_SZ = 1031
CHECK_SECONDS = 0.5
PROBES = 10
PROBE_SECONDS = 0.1
# A child that reports to be alive may scan a long file before its first sample. It computes meanwhile, so on a machine
# on which it gets a quarter of a core, it reaches its limit of processor time within this multiple of it.
SCAN_FACTOR = 4
# Usage is measured by the kernel's clock, which may be behind that of the limit.
CPU_SLACK_SECONDS = 0.5
# File errors that the child may report; anything else that it reports is a defect.
FAILURES = {
    error.code: error
    for error in (
        errors.AudioEmpty,
        errors.AudioMissing,
        errors.AudioNotDecodable,
        errors.AudioTruncated,
        errors.DecodeLimit,
        errors.TrackNotFound,
    )
}


@dataclass(frozen=True, slots=True)
class Order:
    """What a child should produce from the file.

    form: `pcm` is int16 at 16 kHz for recognition, `mp3` is for browsers, `peaks` is unsigned bytes of one channel.
    track: `default`, `all`, an index or a language. channels: `mix`, `split` or `auto`. rate: for mp3 and peaks.
    most_seconds: where mp3 and peaks end. limit_ms: a stated length over this one is checked before it is reported.
    """

    form: Literal["pcm", "mp3", "peaks"]
    track: str = "default"
    channels: str = "mix"
    rate: int = 16_000
    most_seconds: int | None = None
    limit_ms: int | None = None


class Child:
    """A decoding process. `close` ends it, whatever it is doing. Reading raises DecodeStalled if the file stalls.

    idle_seconds: the longest wait for the next bytes; soundless_seconds: the longest wait for sound. `check` is called
    before each wait and several times a second during it, in the thread that reads; what it raises ends the reading.
    """

    def __init__(
        self,
        file: io.FileIO,
        order: Order,
        *,
        cpu_seconds: int,
        memory_bytes: int,
        idle_seconds: float,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._cpu_seconds, self._memory_bytes = cpu_seconds, memory_bytes
        self._check = check
        self.idle_seconds = idle_seconds
        self.soundless_seconds = max(idle_seconds, float(SCAN_FACTOR * cpu_seconds))
        self._waited_seconds = 0.0  # for sound, without the time between two readings
        self._timed_out = self._computing = False
        request = Request(cpu_seconds, memory_bytes, asdict(order))
        try:
            self._process, self._out, self._errors = forking.DECODERS.start(file, request)
        except (OSError, RuntimeError) as error:  # no memory or processes left, or a broken installation
            log.error("decoder_not_started", reason=str(error))
            raise DecodeStalled(f"no decoding process can be started: {error}") from error
        os.set_blocking(self._errors.fileno(), False)
        with contextlib.suppress(OSError):  # fewer context switches, if the kernel allows it
            fcntl.fcntl(self._out, F_SETPIPE_SZ, PIPE_BYTES)

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._process.pid

    def messages(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (kind, payload) until the END message. Raises the error that the child reports, and DecodeLimit."""
        while True:
            kind, size = messages.FRAME.unpack(self._read(messages.FRAME.size))
            if size > messages.MOST_BYTES.get(kind, -1):
                raise AudioNotDecodable("the decoder failed over this file")
            payload = self._read(size)
            if kind == messages.END:
                return
            if kind == messages.FAILURE:
                raise self._failure(payload)
            if kind == messages.ALIVE:
                continue
            if kind == messages.SOUND and payload:
                self._waited_seconds = 0.0
            yield kind, payload

    def close(self) -> None:
        """End the child and wait for it. May be called twice."""
        self._process.kill()
        self._process.wait()
        self._out.close()
        self._errors.close()

    def _read(self, size: int) -> bytes:
        parts: list[bytes] = []
        missing = size
        while missing:
            part = self._some(missing)
            if not part:
                raise self._why_it_ended()
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _some(self, most: int) -> bytes:
        """The next bytes; empty when the child has ended or has been silent for too long."""
        silent_seconds = 0.0
        while True:
            self._check()
            began = time.monotonic()
            ready = select.select([self._out], [], [], min(CHECK_SECONDS, self.idle_seconds))[0]
            waited = time.monotonic() - began
            self._waited_seconds += waited
            if self._waited_seconds > self.soundless_seconds:
                raise DecodeLimit(f"no sound came for {self.soundless_seconds:g} s")
            if ready:
                return os.read(self._out.fileno(), min(most, PIPE_BYTES))
            silent_seconds += waited
            if silent_seconds >= self.idle_seconds and self._give_up():
                return b""

    def _give_up(self) -> bool:
        """End the child after a long silence, unless data has just arrived.

        A child that computes all the time has a file that is too expensive to decode; one that waits for bytes has a
        stalled disk.
        """
        for _ in range(PROBES):
            self._computing |= _is_computing(self.pid)
            if select.select([self._out], [], [], PROBE_SECONDS)[0]:
                return False
        self._timed_out = True
        self._process.kill()
        return True

    def _failure(self, payload: bytes) -> ParaqueueError:
        try:
            failure = messages.parse_failure(payload)
        except BadMessage:
            return AudioNotDecodable("the decoder failed over this file")
        return FAILURES.get(failure.code, AudioNotDecodable)(failure.message)

    def _why_it_ended(self) -> ParaqueueError:
        ending = self._process.wait()
        if self._timed_out:  # then this process killed it
            silence = f"no sound came for {self.idle_seconds:g} s"
            if self._computing:
                return DecodeLimit(f"{silence} although the decoder was at work")
            return DecodeStalled(f"{silence}: the decoder waits for the file")
        if ending is None:
            return DecodeStalled("the decoding process ended with the process that starts it")
        if ending.status in (-signal.SIGXCPU, -signal.SIGKILL):
            if ending.cpu_seconds > self._cpu_seconds - CPU_SLACK_SECONDS:
                return DecodeLimit(f"decoding took more than {self._cpu_seconds} s of processor time")
            return DecodeStalled("the decoding process was killed; the machine may be short of memory")
        words = self._last_words()
        if "MemoryError" in words or "failed to map segment" in words or "Cannot allocate memory" in words:
            return DecodeLimit(f"decoding needed more than {self._memory_bytes} bytes of memory")
        log.warning("decoder_crashed", exit_status=ending.status, stderr=words[-1000:])
        return AudioNotDecodable(f"the decoder crashed over this file (exit status {ending.status})")

    def _last_words(self) -> str:
        with contextlib.suppress(BlockingIOError):
            return (self._errors.read(PIPE_BYTES) or b"").decode("utf-8", "replace")
        return ""


def _is_computing(pid: int) -> bool:
    """Whether a child is running or runnable; otherwise it is waiting or has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "R"  # the process name before it may contain any character
