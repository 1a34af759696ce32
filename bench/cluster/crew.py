"""A process of simulated workers: `python -m bench.cluster.crew NAME WORKERS`, with the load as a line on its input.

Each worker claims, renews, commits parts and completes with the functions that a real one calls, and has its own
dispatcher. What differs: there is no engine; every job comes by a message; the workers of a process share its threads,
its database connections and one consumer of messages. It works until its input ends, and prints what it did as JSON.
"""

from __future__ import annotations

import random
import sys
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import redis

from bench.cluster.events import Events
from bench.cluster.load import MODEL, Load, spoken
from bench.cluster.messages import next_job
from bench.cluster.voice import own_voice
from common import jobs
from common.db import Database
from common.errors import Unavailable
from common.job_states import Stage
from common.jobs import Claim, Dispatcher, Finished, LeaseLost, Progress, Worker
from common.queue import Publisher, make_app, transcribe_queue
from common.settings import Settings, load_settings

# Beside those of the threads that run events: for dispatchers, which wait for one another.
DISPATCH_CONNECTIONS = 4
RETRY_SECONDS = 0.5


@dataclass(slots=True)
class Running:
    """A job in a slot."""

    claim: Claim
    began: float
    seconds: float
    committed: int = 0

    def progress(self, audio_ms: int) -> Progress:
        """What a renewal reports: as much audio as its share of the time."""
        done = min(1.0, (time.monotonic() - self.began) / self.seconds)
        return Progress(self.claim.token, Stage.TRANSCRIBING, int(done * audio_ms), audio_ms)


@dataclass(slots=True)
class Member:
    """One simulated worker, its jobs and its dispatcher."""

    worker: Worker
    dispatcher: Dispatcher
    running: dict[uuid.UUID, Running] = field(default_factory=dict)
    taken: int = 0


@dataclass
class Done:
    """What a crew did: counts, and the moment of each renewal (`time.time`) and its delay in seconds."""

    counts: Counter[str] = field(default_factory=Counter)
    renewals: list[tuple[float, float]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Count an event; callable from any thread."""
        with self._lock:
            self.counts[what] += 1


class Crew:
    """The workers of this process."""

    def __init__(self, settings: Settings, load: Load, name: str, size: int) -> None:
        self._load = load
        self._database = Database(settings.sqlalchemy_url, load.threads + 1)
        self._dispatch_database = Database(settings.sqlalchemy_url, DISPATCH_CONNECTIONS)
        self._redis = redis.Redis.from_url(settings.redis_url.get_secret_value(), socket_timeout=30)
        publisher = Publisher(make_app(settings))
        self._random = random.Random(name)
        self._members = [
            Member(
                Worker(f"{name}-{number}", MODEL, "r1", "fp32", "cpu", load.slots),
                Dispatcher.of(settings, self._dispatch_database, publisher),
            )
            for number in range(size)
        ]
        self._free = threading.Semaphore(size * load.slots)
        self._lock = threading.Lock()
        self._events = Events(load.threads)
        self._ended = threading.Event()
        self._consumer = threading.Thread(target=self._consume, name="consumer")
        self.done = Done()

    def start(self) -> None:
        """Register all workers and begin to work; their renewals are spread over the second."""
        now = time.monotonic()
        for number, member in enumerate(self._members):
            jobs.register_worker(self._database, member.worker)
            due = now + self._load.renew_seconds * number / len(self._members)
            self._events.at(due, partial(self._renew, member, due))
            member.dispatcher.start()
        self._events.start()
        self._consumer.start()

    def stop(self) -> None:
        """Stop at once."""
        self._ended.set()
        self._consumer.join()
        self._events.stop()
        for member in self._members:
            member.dispatcher.stop()
        if self._events.error is not None:
            raise self._events.error

    def _renew(self, member: Member, due: float) -> None:
        began = time.monotonic()
        with self._lock:
            progress = [one.progress(self._load.audio_ms) for one in member.running.values()]
        try:
            jobs.renew(self._database, member.worker, progress, lease_seconds=self._load.lease_seconds, draining=False)
        except Unavailable:
            self.done.count("failed renewals")
        else:
            self.done.renewals.append((time.time(), began - due))
        # Like the real thread, which waits a second after each renewal.
        due = time.monotonic() + self._load.renew_seconds
        self._events.at(due, partial(self._renew, member, due))

    def _consume(self) -> None:
        queue = transcribe_queue(MODEL)
        while not self._ended.is_set():
            if not self._free.acquire(timeout=0.2):
                continue
            job_id = next_job(self._redis, queue)
            if job_id is None:
                self._free.release()
                continue
            with self._lock:
                member = min(self._members, key=lambda one: one.taken)
                member.taken += 1
            self._events.at(time.monotonic(), partial(self._claim, member, job_id))

    def _claim(self, member: Member, job_id: uuid.UUID) -> None:
        load, token = self._load, uuid.uuid4()
        try:
            claim = jobs.claim(
                self._database,
                job_id,
                worker=member.worker.id,
                model=MODEL,
                lease_seconds=load.lease_seconds,
                token=token,
            )
        except Unavailable:
            jobs.abandon_claim(self._database, member.worker.id, token)
            claim = None  # the job is announced again after a while
        if claim is None:
            self.done.count("not available")
            self._leave(member)
            return
        seconds = load.job_seconds * self._random.uniform(0.5, 1.5)
        running = Running(claim, time.monotonic(), seconds)
        with self._lock:
            member.running[claim.token] = running
        self._next(member, running, 0)

    def _next(self, member: Member, running: Running, number: int) -> None:
        due = running.began + running.seconds * (number + 1) / self._load.parts
        self._events.at(due, partial(self._commit, member, running, number))

    def _commit(self, member: Member, running: Running, number: int) -> None:
        part = spoken(self._load, number, self._random)
        try:
            if part.last:
                self._complete(running, part)
            else:
                jobs.commit_part(self._database, running.claim, part, first_sentence=running.committed)
        except Unavailable:
            # Like the real worker, which tries the same commit again.
            self.done.count("commits repeated")
            again = partial(self._commit, member, running, number)
            self._events.at(time.monotonic() + RETRY_SECONDS, again)
            return
        except LeaseLost:
            self.done.count("leases lost")
            self._end(member, running)
            return
        running.committed += len(part.sentences)
        if part.last:
            self.done.count("completed")
            self._end(member, running)
        else:
            self._next(member, running, number + 1)

    def _complete(self, running: Running, part: Any) -> None:
        finished = Finished(
            model=MODEL,
            revision="r1",
            precision="fp32",
            channels=1,
            audio_ms=self._load.audio_ms,
            processing_ms=int(running.seconds * 1000),
            no_speech=False,
        )
        jobs.complete(
            self._database,
            running.claim,
            part,
            finished,
            first_sentence=running.committed,
            stage_ms={Stage.TRANSCRIBING.value: int(running.seconds * 1000)},
        )

    def _end(self, member: Member, running: Running) -> None:
        with self._lock:
            member.running.pop(running.claim.token)
        self._leave(member)

    def _leave(self, member: Member) -> None:
        with self._lock:
            member.taken -= 1
        self._free.release()
        member.dispatcher.wake()


def main() -> None:
    """Work until standard input ends."""
    say = own_voice()
    name, size = sys.argv[1], int(sys.argv[2])
    crew = Crew(load_settings(), Load.from_json(sys.stdin.readline()), name, size)
    crew.start()
    say({"ready": True})
    sys.stdin.read()
    crew.stop()
    say({"counts": crew.done.counts, "renewals": crew.done.renewals})


if __name__ == "__main__":
    main()
