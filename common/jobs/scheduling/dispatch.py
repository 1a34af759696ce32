"""Chooses the queued jobs that are announced to the workers next.

PostgreSQL decides; a Celery message only wakes a worker. No more jobs are announced than there are free slots, so that
all others stay where they can still be reordered. A lost message is sent again after `redispatch_seconds`; a duplicate
finds its job already claimed.

The order: highest priority first; within one priority, the tenant with the fewest running jobs or, if equal, the one
served longest ago; within a tenant, its oldest job whose key is below its limit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from common.db import Database
from common.job_states import Status
from common.jobs.scheduling.fairness import QueuedJob, schedule_fairly
from common.jobs.scheduling.quarantine import WorkerLoad, reserve_workers, worker_loads
from common.jobs.scheduling.queue_queries import (
    DispatchLimits,
    RunningCounts,
    full_keys,
    next_jobs,
    priorities,
    running_counts,
    tenants,
)
from common.models import JobRow

# An arbitrary number, the same in every process: the advisory lock that lets one dispatcher at a time choose.
DISPATCH_LOCK = 0x7061_7261
# Choosing takes milliseconds. A process that holds the lock for longer is frozen, and the server ends its session soon.
LOCK_TIMEOUT_MS = 2_000
TAKE_LOCK = text(
    f"SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', true), pg_advisory_xact_lock({DISPATCH_LOCK})"
)
TENANTS_AT_A_TIME = 50
NOTE_TURNS = text("""
INSERT INTO tenants (name, served_at)
SELECT served.name, clock_timestamp() + make_interval(secs => served.place * 1e-6)
FROM unnest(CAST(:tenants AS text[]), CAST(:places AS int[])) AS served(name, place)
ON CONFLICT (name) DO UPDATE SET served_at = excluded.served_at
""")

Publish = Callable[[uuid.UUID, str], None]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A job to announce to the workers of a model."""

    job_id: uuid.UUID
    model: str


def dispatch(database: Database, publish: Publish, *, redispatch_seconds: float, key_max_running: int = 0) -> int:
    """Announce the jobs that should run next; returns how many. Safe to call from anywhere, at any time.

    `key_max_running` is the number of jobs that may run at once for a key without a limit of its own; 0 means
    unlimited. Raises Unavailable if the broker or the database does not respond, or if another dispatcher holds the
    lock for too long; the affected jobs are then announced by the next call.
    """
    limits = DispatchLimits(redispatch_seconds, key_max_running)
    with database.transaction() as session:
        # Waits for the lock rather than skipping: the running dispatcher may not have seen a job that this one would.
        session.execute(TAKE_LOCK)
        chosen = _choose(session, limits)
    sent = 0
    try:
        for item in chosen:
            publish(item.job_id, item.model)
            sent += 1
    finally:
        _take_back(database, chosen[sent:])
    return sent


def _choose(session: Session, limits: DispatchLimits) -> list[Chosen]:
    chosen: list[Chosen] = []
    found = running_counts(session, limits)
    full = full_keys(session, found.of_key, limits)
    by_model: dict[str, list[WorkerLoad]] = {}
    for seat in worker_loads(session):
        by_model.setdefault(seat.model, []).append(seat)
    for model, all_seats in sorted(by_model.items()):
        seated = reserve_workers(session, model, all_seats, full, limits)
        for suspect in seated.ready:
            if suspect.key_id is None or suspect.key_id not in full:
                found.of_tenant[suspect.tenant] += 1
                if suspect.key_id is not None:
                    found.of_key[suspect.key_id] += 1
                    full = full_keys(session, found.of_key, limits)
                chosen.append(Chosen(suspect.job_id, model))
        free = sum(max(0, seat.slots - seat.running) for seat in seated.open) - found.announced[model]
        if free > 0:
            taken = _taken(session, model, free, found, limits)
            full = full_keys(session, found.of_key, limits)
            chosen += [Chosen(job.job_id, model) for job in taken]
            _note_turns(session, [job.tenant for job in taken])
    return _announced(session, chosen)


def _taken(session: Session, model: str, free: int, found: RunningCounts, limits: DispatchLimits) -> list[QueuedJob]:
    """Choose the jobs of a model that get its free slots: highest priority first, fair within a priority."""
    taken: list[QueuedJob] = []
    for priority in priorities(session, model):
        full = full_keys(session, found.of_key, limits)
        waiting = tenants(session, model, priority, found.of_tenant)
        open_lines: dict[str, list[QueuedJob]] = {}
        # A few tenants at a time: once all slots are taken, later tenants need not be queried.
        while waiting and len(open_lines) < free - len(taken):
            asked, waiting = waiting[:TENANTS_AT_A_TIME], waiting[TENANTS_AT_A_TIME:]
            open_lines |= next_jobs(session, model, priority, asked, slots=free - len(taken), full=full, limits=limits)
        taken += schedule_fairly(open_lines, free - len(taken), running=found.of_tenant, of_key=found.of_key)
        if len(taken) == free:
            break
    return taken


def _note_turns(session: Session, served: Sequence[str]) -> None:
    """Record when each tenant was served.

    Uses the current time: a transaction that waited for the lock began before its turn.
    """
    last = {tenant: place for place, tenant in enumerate(served)}
    if last:
        session.execute(NOTE_TURNS, {"tenants": list(last), "places": list(last.values())})


def _announced(session: Session, chosen: Sequence[Chosen]) -> list[Chosen]:
    """Mark the chosen jobs as announced, except those that are locked right now; they wait for the next dispatch."""
    if not chosen:
        return []
    free = (
        select(JobRow.id)
        .where(JobRow.id.in_([item.job_id for item in chosen]), JobRow.status == Status.QUEUED)
        .with_for_update(skip_locked=True)
        .cte("free")
    )
    statement = update(JobRow).where(JobRow.id.in_(select(free.c.id))).values(dispatched_at=func.now())
    marked = set(session.scalars(statement.returning(JobRow.id)))
    return [item for item in chosen if item.job_id in marked]


def _take_back(database: Database, unsent: Sequence[Chosen]) -> None:
    if not unsent:
        return
    with database.transaction() as session:
        session.execute(
            update(JobRow)
            .where(JobRow.id.in_([item.job_id for item in unsent]), JobRow.status == Status.QUEUED)
            .values(dispatched_at=None)
        )
