"""Estimates of a job's position in the queue and its completion time.

All answers for a model come from one snapshot of its queue, at most a few seconds old: the queue is simulated as
dispatch would order it, with jobs of the median length on the current slots at the speed last measured.
"""

from __future__ import annotations

import heapq
import threading
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from common.db import Database
from common.errors import Unavailable
from common.job_states import Status
from common.jobs.job import Job
from common.jobs.scheduling.fairness import QueuedJob, schedule_fairly
from common.jobs.scheduling.queue_queries import (
    READY,
    TO_FETCH,
    DispatchLimits,
    in_turn,
    next_jobs,
    priorities,
    running_counts,
    tenants,
)
from common.jobs.scheduling.workers import alive
from common.models import JobRow, WorkerRow

FAR_END = 1000
BOTH_LINES = (READY, TO_FETCH)
FRESH_SECONDS = 2.0
ROUNDS = 4
# No announced job counts as waiting again, and no key is full.
NO_LIMITS = DispatchLimits(redispatch_seconds=1e9, tenant_max_running=0)
CLOCK_SLACK = timedelta(seconds=1)
# Speed and median length come from the newest completed runs of the model.
MEASURED = text("""
SELECT sum(audio_ms)::float8 / sum(processing_ms),
       percentile_cont(0.5) WITHIN GROUP (ORDER BY audio_ms)
FROM (SELECT status, audio_ms, processing_ms FROM usage WHERE model = :model ORDER BY ended_at DESC LIMIT 200) AS newest
WHERE status = 'completed' AND audio_ms > 0 AND processing_ms > 0
""")


@dataclass(frozen=True, slots=True)
class Estimate:
    """The estimate for one job.

    `position` is 1 for the next job and None for a job that is not queued; `far` is set beyond the first 1000.
    `eta_seconds` is the time until the job is done; None: unknown.
    """

    position: int | None = None
    far: bool = False
    eta_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """A snapshot of a model's queue. Speed is audio time / processing time of one slot."""

    looked_at: float
    places: Mapping[uuid.UUID, int]
    starts_ms: tuple[float, ...]
    speed: float | None
    median_ms: float


class Estimates:
    """Estimates for jobs, for one process. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lines: dict[str, QueueSnapshot] = {}
        self._locks: dict[str, threading.Lock] = {}

    def of(self, job: Job) -> Estimate:
        """Return the estimate for a job; empty if it has ended or the database does not respond."""
        if job.terminal or _pausing(job):
            return Estimate()
        line = self._line(job.model)
        if line is None:
            return Estimate()
        if job.status is Status.PROCESSING:
            return Estimate(eta_seconds=_seconds(0, job, line))
        place = line.places.get(job.id)
        if place is not None:
            start_ms = line.starts_ms[place] if line.starts_ms else None
            return Estimate(place + 1, eta_seconds=_seconds(start_ms, job, line))
        # Not among the first 1000: further back, or too new for this snapshot.
        far = len(line.places) >= FAR_END
        return Estimate(None if far else len(line.places) + 1, far)

    def _line(self, model: str) -> QueueSnapshot | None:
        """Return the latest snapshot, or a new one if it is old; while one thread reads, others get the old one."""
        last = self._lines.get(model)
        if last is not None and time.monotonic() - last.looked_at < FRESH_SECONDS:
            return last
        lock = self._locks.setdefault(model, threading.Lock())
        if not lock.acquire(blocking=last is None):
            return last
        try:
            current = self._lines.get(model)
            if current is last:  # otherwise another thread has read it in the meantime
                self._lines[model] = current = _look(self._database, model)
            return current
        except Unavailable:
            return None
        finally:
            lock.release()


def _pausing(job: Job) -> bool:
    """Whether a job waits for its next attempt. Uses this process' clock, which is sufficient for an estimate."""
    return job.status is Status.QUEUED and job.not_before > datetime.now(UTC) + CLOCK_SLACK


def _look(database: Database, model: str) -> QueueSnapshot:
    looked_at = time.monotonic()
    with database.transaction() as session:
        ahead = _announced(session, model)
        ahead += [job.job_id for job in _in_turn(session, model, FAR_END - len(ahead))]
        speed, median_ms = session.execute(MEASURED, {"model": model}).one()
        slots = session.scalar(select(func.sum(WorkerRow.slots)).where(alive(), WorkerRow.model == model)) or 0
        left_ms = _running(session, model, median_ms or 0.0)
    places = {job_id: place for place, job_id in enumerate(ahead)}
    if not speed or not slots:
        return QueueSnapshot(looked_at, places, (), None, 0.0)
    starts = _starts([ms / speed for ms in left_ms], int(slots), median_ms / speed, len(ahead))
    return QueueSnapshot(looked_at, places, starts, speed, median_ms)


def _announced(session: Session, model: str) -> list[uuid.UUID]:
    """Jobs that a worker is about to take; more than there are slots only while messages get lost."""
    waiting = text("jobs.status = 'queued' AND jobs.dispatched_at IS NOT NULL")
    statement = select(JobRow.id).where(waiting, JobRow.model == model).order_by(JobRow.dispatched_at)
    return list(session.scalars(statement.limit(FAR_END)))


def _in_turn(session: Session, model: str, number: int) -> list[QueuedJob]:
    """The next jobs in the order in which dispatch would take them, if no key had a limit."""
    running = running_counts(session, NO_LIMITS).of_tenant
    taken: list[QueuedJob] = []
    levels = {level for line in BOTH_LINES for level in priorities(session, model, line)}
    for priority in sorted(levels, reverse=True):
        if len(taken) < number:
            taken += _of_priority(session, model, priority, number - len(taken), running)
    return taken


def _of_priority(session: Session, model: str, priority: int, number: int, running: Counter[str]) -> list[QueuedJob]:
    """Read about as many jobs as it returns: a few of each tenant, then more of those that have more."""
    order = [name for line in BOTH_LINES for name in in_turn(tenants(session, model, priority, line), running)]
    order = sorted(dict.fromkeys(order), key=lambda name: running[name])
    queues: dict[str, list[QueuedJob]] = {}
    deep, depth = order, 0
    for _ in range(ROUNDS):
        missing = number - sum(len(line) for line in queues.values())
        if not deep or missing <= 0:
            break
        depth += -(-missing // len(deep))
        read = _in_both_lines(session, model, priority, deep, depth)
        queues |= {tenant: [replace(job, key_limit=0, tenant_limit=0) for job in line] for tenant, line in read.items()}
        deep = [tenant for tenant in deep if len(queues.get(tenant, ())) >= depth]
    in_order = {tenant: queues[tenant] for tenant in order if tenant in queues}
    return schedule_fairly(in_order, number, running=running, of_key=Counter())


def _in_both_lines(
    session: Session, model: str, priority: int, listed: list[str], depth: int
) -> dict[str, list[QueuedJob]]:
    """The next jobs of each tenant, oldest first (ids grow with time), whether their links are fetched yet or not."""
    queues: dict[str, list[QueuedJob]] = {}
    for line in BOTH_LINES:
        read = next_jobs(session, model, priority, listed, slots=depth, full=(), limits=NO_LIMITS, line=line)
        for name, queued in read.items():
            both = sorted(queues[name] + queued, key=lambda job: job.job_id) if name in queues else queued
            queues[name] = both[:depth]
    return queues


def _running(session: Session, model: str, median_ms: float) -> list[float]:
    """Audio that the running jobs have left."""
    rows = session.execute(
        select(JobRow.declared_ms, JobRow.processed_ms).where(
            text("jobs.status = 'processing' AND jobs.audio_key IS NOT NULL"), JobRow.model == model
        )
    )
    return [max(0.0, (declared_ms or median_ms) - processed_ms) for declared_ms, processed_ms in rows]


def _starts(left: list[float], slots: int, each: float, number: int) -> tuple[float, ...]:
    """Return when the queued jobs start, in milliseconds from now, if each takes the slot that is free first."""
    free = sorted(left)[-slots:] + [0.0] * max(0, slots - len(left))
    heapq.heapify(free)
    starts = []
    for _ in range(number):
        start = heapq.heappop(free)
        starts.append(start)
        heapq.heappush(free, start + each)
    return tuple(starts)


def _seconds(start_ms: float | None, job: Job, line: QueueSnapshot) -> int | None:
    if start_ms is None or line.speed is None:
        return None
    left_ms = (job.declared_ms or line.median_ms) - job.processed_ms
    if left_ms < 0:  # longer than estimated: unknown
        return None
    return round((start_ms + left_ms / line.speed) / 1000)
