"""Clients that submit audio all the time, as real ones do: they stream it, and try again until it is accepted."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random

import httpx
import psycopg

from tests.e2e.recordings import SECOND_MS, spoken, write
from tests.e2e.service import Answer, without_confidence
from tests.faults.stack import Stack
from tests.servers import WITH_KEY
from training.speech import SAMPLE_RATE

CLIENTS = 4
STREAM_SECONDS = (0.3, 1.5)
SUBMIT_SECONDS = 60.0
UPLOAD_SECONDS = 180.0
MINUTE = 60 * SAMPLE_RATE
# Name and span in minutes of one recording, and how it is encoded.
CUTS = {
    "meeting.mp3": (0, 3, ("-b:a", "48k")),
    "interview.m4a": (3, 5, ("-c:a", "aac", "-b:a", "40k")),
    "lecture.ogg": (6, 9, ("-c:a", "libopus", "-b:a", "24k")),
    "call.wav": (5, 7, ("-ar", "8000")),
}


@dataclass(frozen=True)
class Audio:
    """A file to submit, and what an undisturbed run says of it."""

    path: Path
    duration_ms: int
    sentences: tuple[Answer, ...] = ()


def make_audio(directory: Path) -> list[Audio]:
    """Several files of several minutes, each of another form; without their transcripts."""
    samples = spoken(112, seed=112).samples
    made = []
    for name, (first, last, options) in CUTS.items():
        piece = samples[first * MINUTE : last * MINUTE]
        made.append(Audio(write(piece, directory / name, *options), len(piece) * SECOND_MS // SAMPLE_RATE))
    return made


def undisturbed(stack: Stack, files: list[Audio]) -> list[Audio]:
    """The same files with what the stack says while nothing breaks."""
    submitted = [(audio, stack.upload(audio.path)) for audio in files]
    recordings = []
    for audio, job_id in submitted:
        stack.finished(job_id)
        sentences = tuple(without_confidence(stack.sentences(job_id)))
        assert len(sentences) > 10
        recordings.append(Audio(audio.path, audio.duration_ms, sentences))
    return recordings


class Load:
    """Keeps some jobs unfinished, from a few clients in threads of their own."""

    def __init__(self, stack: Stack, files: list[Audio], rng: Random) -> None:
        self.stack = stack
        self.files = {audio.path.name: audio for audio in files}
        for audio in files:
            shutil.copy(audio.path, stack.receiver.server.directory)
        self.accepted: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        self.streaming: set[int] = set()
        # Clients that are about to submit, or do; more than those whose upload has begun.
        self._submitting: set[int] = set()
        self._rng = rng
        self.wanted = 0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=[number], daemon=True) for number in range(CLIENTS)]

    @contextmanager
    def running(self) -> Iterator[Load]:
        """With its clients at work."""
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in self._threads:
                thread.join(SUBMIT_SECONDS + 10)

    def keep(self, unfinished: int) -> None:
        """How many jobs to have in flight; 0 lets them run out, and from then on no client begins to submit."""
        with self._lock:
            self.wanted = unfinished

    @property
    def submitting(self) -> bool:
        """Whether a client may still be given a job that is not in the database yet."""
        with self._lock:
            return bool(self._submitting)

    def wait_for_streaming(self) -> None:
        """Until an upload is under way."""
        self.upload_until(lambda: bool(self.streaming))
        assert self.streaming, "no client is uploading"

    def upload_until(self, holds: Callable[[], bool], seconds: float = UPLOAD_SECONDS) -> None:
        """Wait until something holds that needs uploads, at most so long.

        Clients upload when a job ends, which takes minutes on a slow machine: meanwhile, one job more is wanted each
        second.
        """
        wanted = self.wanted
        started = time.monotonic()
        while not holds() and time.monotonic() < started + seconds:
            self.wanted = wanted + int(time.monotonic() - started)
            time.sleep(0.005)
        self.wanted = wanted

    def wait_for_work(self, on_worker: str | None = None, seconds: float = 120.0) -> None:
        """Until some jobs are in the middle of their audio, one of them on that worker if it is named."""
        place = "%" if on_worker is None else f"%-{self.stack.children[on_worker].process.pid}-%"
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            # On a machine where clients are slower than workers there may never be two.
            wanted = 2 if time.monotonic() < deadline - 0.8 * seconds else 1
            rows = self.stack.query_when_possible(
                "SELECT lease_worker LIKE %s FROM jobs WHERE status = 'processing' AND processed_ms > 0", place
            )
            if len(rows) >= wanted and (True,) in rows:
                return
            time.sleep(0.02)
        raise AssertionError(f"no work begins; the logs are in {self.stack.logs}")

    def _run(self, number: int) -> None:
        while not self._ended.wait(0.1):
            if self._lacking() and self._begins(number):
                try:
                    self._submit(number)
                finally:
                    with self._lock:
                        self._submitting.discard(number)

    def _begins(self, number: int) -> bool:
        with self._lock:
            if self.wanted:
                self._submitting.add(number)
            return number in self._submitting

    def _lacking(self) -> bool:
        if len(self.streaming) >= self.wanted:
            return False
        try:
            counted = "SELECT count(*) FROM jobs WHERE status NOT IN ('completed', 'failed', 'canceled')"
            return int(self.stack.query(counted)[0][0]) + len(self.streaming) < self.wanted
        except psycopg.OperationalError:
            return True

    def _submit(self, number: int) -> None:
        """One request. A client that is refused, or gets no answer, comes again later with some audio."""
        with self._lock:
            name = self._rng.choice(sorted(self.files))
            by_link, took = self._rng.random() < 0.25, self._rng.uniform(*STREAM_SECONDS)
        try:
            answer = self._link(name) if by_link else self._stream(name, took, number)
        except httpx.TransportError as error:
            outcome = type(error).__name__
        else:
            if answer.status_code == 202:
                with self._lock:
                    self.accepted[answer.json()["id"]] = name
                return
            outcome = f"{answer.status_code} {answer.json()['code']}"
        with self._lock:
            self.refused[outcome] += 1
        time.sleep(0.5)

    def _link(self, name: str) -> httpx.Response:
        body = {"audio_url": self.stack.receiver.server.url(name), "tags": [name]}
        return self._post(json=body | {"webhook_url": self.stack.receiver.url})

    def _stream(self, name: str, took_seconds: float, number: int) -> httpx.Response:
        content = self.files[name].path.read_bytes()
        slow = _Slow(content, took_seconds, begun=lambda: self.streaming.add(number))
        fields = {"tags": name, "webhook_url": self.stack.receiver.url}
        try:
            return self._post(files={"file": (name, slow)}, data=fields)
        finally:
            self.streaming.discard(number)

    def _post(self, **how: object) -> httpx.Response:
        url = f"{self.stack.url}/v1/transcriptions"
        return httpx.post(url, headers=WITH_KEY, timeout=SUBMIT_SECONDS, verify=False, **how)  # type: ignore[arg-type]


class _Slow(BytesIO):
    """A file that is read over a while, as through a thin line; a machine that is slow itself adds nothing to it."""

    def __init__(self, content: bytes, seconds: float, begun: Callable[[], None]) -> None:
        super().__init__(content)
        self._seconds_per_byte = seconds / len(content)
        self._started = time.monotonic()
        self._begun = begun

    def read(self, size: int | None = -1) -> bytes:
        """A piece, when the line has brought it."""
        piece = super().read(size)
        due = self._started + self.tell() * self._seconds_per_byte
        time.sleep(max(0.0, due - time.monotonic()))
        self._begun()
        return piece
