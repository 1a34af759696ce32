"""The well-behaved tenant: submits a clip of 3 s now and then, and polls it until its text is there."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bench.misbehave.wire import Connection, form, request

CLIP_SECONDS = 3.0
EVERY_SECONDS = 0.8
POLL_SECONDS = 0.05
# The last clips of a round may end after it.
PATIENCE_SECONDS = 60.0
MILLISECOND = timedelta(milliseconds=1)
ENDED = {"completed", "failed", "canceled"}


@dataclass
class Samples:
    """What it measured, in milliseconds, and what went wrong."""

    submit: list[float] = field(default_factory=list)
    poll: list[float] = field(default_factory=list)
    clip_to_text: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    queued: list[float] = field(default_factory=list)
    running: list[float] = field(default_factory=list)

    def take(self, other: Samples) -> None:
        """Add the measurements of another round."""
        self.submit += other.submit
        self.poll += other.poll
        self.clip_to_text += other.clip_to_text
        self.queued += other.queued
        self.running += other.running
        self.wrong += other.wrong


class GoodTenant:
    """Sends its clips in turn, each as a form."""

    def __init__(self, port: int, key: str, clips: list[bytes]) -> None:
        self._port = port
        self._key = key
        self._requests = []
        for number, clip in enumerate(clips):
            kind, body = form(clip, f"clip-{number}.wav")
            self._requests.append(request("POST", "/v1/transcriptions", key, body, kind))
        self._number = 0
        self._free: list[Connection] = []

    async def work(self, seconds: float) -> Samples:
        """Submit clips at a steady rate for so long, whether or not earlier ones are done, and wait for the last."""
        samples = Samples()
        began = time.perf_counter()
        clips = []
        for number in range(max(1, round(seconds / EVERY_SECONDS))):
            await asyncio.sleep(max(0.0, began + number * EVERY_SECONDS - time.perf_counter()))
            clips.append(asyncio.create_task(self._clip(samples)))
        await asyncio.gather(*clips)
        while self._free:  # the next round has another event loop
            self._free.pop().close()
        return samples

    async def _clip(self, samples: Samples) -> None:
        connection = self._free.pop() if self._free else Connection(self._port)
        self._number += 1
        submission = self._requests[self._number % len(self._requests)]
        began = time.perf_counter()
        status, body = await connection.ask(submission)
        samples.submit.append(_ms_since(began))
        if status != 202:
            samples.wrong.append(f"submit: {status} {body[:200]!r}")
            return
        poll = request("GET", f"/v1/transcriptions/{json.loads(body)['id']}", self._key)
        state = ""
        while state not in ENDED and time.perf_counter() - began < PATIENCE_SECONDS:
            await asyncio.sleep(POLL_SECONDS)
            asked = time.perf_counter()
            status, body = await connection.ask(poll)
            samples.poll.append(_ms_since(asked))
            state = json.loads(body)["status"] if status == 200 else f"poll: {status}"
        samples.clip_to_text.append(_ms_since(began))
        if state == "completed":
            _take_times(samples, json.loads(body))
        else:
            samples.wrong.append(f"clip: {state}")
        self._free.append(connection)


def _take_times(samples: Samples, job: dict[str, Any]) -> None:
    """Take how long a job waited for a worker and how long it ran, by the clock of the database."""
    created, started, finished = (
        datetime.fromisoformat(job[f"{what}_at"]) for what in ("created", "started", "finished")
    )
    samples.queued.append((started - created) / MILLISECOND)
    samples.running.append((finished - started) / MILLISECOND)


def _ms_since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)
