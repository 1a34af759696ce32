"""The process of the tenants: `python -m bench.cluster.callers`, with the load as a line on its input.

It submits jobs at random moments, each of a random tenant, and dispatches like an API; and it sweeps like the light
worker. It submits until it reads another line, dispatches and sweeps until its input ends, and then prints how many
jobs it submitted as JSON.
"""

from __future__ import annotations

import random
import sys
import threading
import time
import uuid

from bench.cluster.load import MODEL, Load
from bench.cluster.voice import own_voice
from common import ids, jobs, keys
from common.db import Database
from common.errors import Unavailable
from common.jobs import Dispatcher, Submission
from common.queue import Publisher, make_app
from common.settings import Settings, load_settings

SUBMITTERS = 4


class Callers:
    """All tenants, the dispatcher of an API process, and the sweep."""

    def __init__(self, settings: Settings, load: Load) -> None:
        self._load = load
        self._settings = settings
        self._database = Database(settings.sqlalchemy_url, settings.database_pool_size)
        self._dispatcher = Dispatcher.of(settings, self._database, Publisher(make_app(settings)))
        self._keys = [self._key(f"tenant-{number}") for number in range(load.tenants)]
        self._enough = threading.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._random = random.Random(1)
        self._due = time.monotonic()
        self.submitted = 0
        self.refused = 0
        self._threads = [threading.Thread(target=self._submit_all) for _ in range(SUBMITTERS)]
        self._sweeper = threading.Thread(target=self._sweep)

    def _key(self, tenant: str) -> tuple[str, uuid.UUID]:
        return tenant, keys.create(self._database, keys.NewKey("bench", tenant=tenant))[0].id

    def start(self) -> None:
        """Begin to submit, dispatch and sweep."""
        self._dispatcher.start()
        for thread in (*self._threads, self._sweeper):
            thread.start()

    def submit_no_more(self) -> None:
        """Return once the last job is submitted: of a limited number all, otherwise none after this moment."""
        if self._load.max_jobs is None:
            self._enough.set()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Stop dispatching and sweeping."""
        self.submit_no_more()
        self._ended.set()
        self._sweeper.join()
        self._dispatcher.stop()

    def _submit_all(self) -> None:
        while (submission := self._next()) is not None:
            try:
                jobs.submit(self._database, submission)
            except Unavailable:
                with self._lock:
                    self.submitted -= 1
                    self.refused += 1
            self._dispatcher.wake()

    def _next(self) -> Submission | None:
        """Wait until the next job is due; None if there is none."""
        load = self._load
        with self._lock:
            if load.max_jobs is not None and self.submitted >= load.max_jobs:
                return None
            self._due += self._random.expovariate(load.jobs_per_second)
            if self._enough.wait(max(0.0, self._due - time.monotonic())):
                return None
            self.submitted += 1
            tenant, key_id = self._random.choice(self._keys)
        job_id = ids.new_id()
        return Submission(
            job_id,
            MODEL,
            "upload",
            tenant=tenant,
            key_id=key_id,
            name="meeting.mp3",
            audio_key=f"audio/{job_id.hex}/source",
            audio_bytes=5_000_000,
            audio_sha256=job_id.hex * 2,
            tags=("bench",),
        )

    def _sweep(self) -> None:
        while not self._ended.wait(self._settings.sweep_seconds):
            try:
                jobs.rescue_expired(self._database)
            except Unavailable as error:
                print(f"sweep: {error.message}", file=sys.stderr)
            self._dispatcher.wake()


def main() -> None:
    """Submit until a line, stop at the end of standard input."""
    say = own_voice()
    callers = Callers(load_settings(), Load.from_json(sys.stdin.readline()))
    callers.start()
    say({"ready": True})
    sys.stdin.readline()
    callers.submit_no_more()
    say({"submitted": callers.submitted, "refused": callers.refused})
    sys.stdin.read()
    callers.stop()


if __name__ == "__main__":
    main()
