"""Which queued jobs go to the workers next.

Postgres decides, a Celery message only wakes a worker up: no more jobs are announced than there are free
slots, so that everything else waits where it can still be reordered. A message that is lost is announced
again after `redispatch_seconds`; one that arrives twice finds its job claimed.

The order: highest priority first; inside one priority the tenant with the fewest jobs running, among equals the one
that was served longest ago; of a tenant, its oldest job whose key is below its limit.
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
    full_tenants,
    next_jobs,
    priorities,
    running_counts,
    tenants,
)
from common.models import JobRow

# Any number, the same in every process: the advisory lock under which one dispatcher at a time chooses.
DISPATCH_LOCK = 0x7061_7261
# Choosing takes milliseconds. Whoever holds the lock for longer is frozen, and the server ends its session soon.
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


def dispatch(database: Database, publish: Publish, *, redispatch_seconds: float, tenant_max_running: int = 0) -> int:
    """Announce the jobs that should run next; returns how many. Safe to call from anywhere, any time.

    `tenant_max_running` is how many jobs run at once of a tenant that has no limit of its own; 0: any number. Raises
    Unavailable where the broker or the database does not respond, or another dispatcher does not come to its end; the
    jobs concerned are then announced by the next call.
    """
    limits = DispatchLimits(redispatch_seconds, tenant_max_running)
    with database.transaction() as session:
        # Waiting, not trying: a dispatcher that gave way to another might have seen a job that one had not.
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
    full = full_keys(session, found.of_key)
    by_model: dict[str, list[WorkerLoad]] = {}
    for seat in worker_loads(session):
        by_model.setdefault(seat.model, []).append(seat)
    for model, all_seats in sorted(by_model.items()):
        seated = reserve_workers(session, model, all_seats, full, limits)
        for suspect in seated.ready:
            if suspect.key_id not in full and suspect.tenant not in full_tenants(session, found.of_tenant, limits):
                found.of_tenant[suspect.tenant] += 1
                if suspect.key_id is not None:
                    found.of_key[suspect.key_id] += 1
                    full = full_keys(session, found.of_key)
                chosen.append(Chosen(suspect.job_id, model))
        free = sum(max(0, seat.slots - seat.running) for seat in seated.open) - found.announced[model]
        if free > 0:
            taken = _taken(session, model, free, found, limits)
            full = full_keys(session, found.of_key)
            chosen += [Chosen(job.job_id, model) for job in taken]
            _note_turns(session, [job.tenant for job in taken])
    return _announced(session, chosen)


def _taken(session: Session, model: str, free: int, found: RunningCounts, limits: DispatchLimits) -> list[QueuedJob]:
    """The jobs of a model that get its free slots: highest priority first, and fair within one."""
    taken: list[QueuedJob] = []
    for priority in priorities(session, model):
        full = full_keys(session, found.of_key)
        closed = full_tenants(session, found.of_tenant, limits)
        waiting = [name for name in tenants(session, model, priority, found.of_tenant) if name not in closed]
        open_lines: dict[str, list[QueuedJob]] = {}
        # Some tenants at a time: who is behind those that take all slots need not be asked.
        while waiting and len(open_lines) < free - len(taken):
            asked, waiting = waiting[:TENANTS_AT_A_TIME], waiting[TENANTS_AT_A_TIME:]
            open_lines |= next_jobs(session, model, priority, asked, slots=free - len(taken), full=full, limits=limits)
        taken += schedule_fairly(open_lines, free - len(taken), running=found.of_tenant, of_key=found.of_key)
        if len(taken) == free:
            break
    return taken


def _note_turns(session: Session, served: Sequence[str]) -> None:
    """Remember who was served last: by the clock of the moment, as a transaction that waited began before its turn."""
    last = {tenant: place for place, tenant in enumerate(served)}
    if last:
        session.execute(NOTE_TURNS, {"tenants": list(last), "places": list(last.values())})


def _announced(session: Session, chosen: Sequence[Chosen]) -> list[Chosen]:
    """Mark the chosen jobs; without those that somebody is changing in this moment, which wait for the next time."""
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
