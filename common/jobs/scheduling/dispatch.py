"""Dispatch: selects the queued jobs that run next and announces them.

PostgreSQL holds the decision; a Celery message only wakes a worker. No more jobs are announced than there are free
slots, so that all others can still be reordered. A lost message is sent again after `redispatch_seconds`; a duplicate
finds its job claimed.

Order: highest priority first; within a priority the tenant with the fewest running jobs, on a tie the one served
longest ago; of a tenant, its oldest job whose key is below its limit. A tenant that holds its share of the slots is
skipped, whatever the priority of its jobs, while jobs of others wait; and one slot is kept free of it while another
tenant was served within the last seconds.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from common.db import Database
from common.job_states import Status
from common.jobs.scheduling.quarantine import QuarantinedJob, WorkerLoad, reserve_workers, worker_loads
from common.jobs.scheduling.queue_queries import (
    ANY_WAITING,
    DispatchLimits,
    RunningCounts,
    full_keys,
    full_tenants,
    running_counts,
)
from common.jobs.scheduling.selection import Room, jobs_for
from common.models import JobRow

# An arbitrary number, the same in every process: the advisory lock that serialises dispatchers.
DISPATCH_LOCK = 0x7061_7261
# Selecting takes milliseconds. A process that holds the lock for longer is frozen, and the server ends its session.
LOCK_TIMEOUT_MS = 2_000
# Materialized: what waits is read before the lock is taken.
TRY_LOCK = text(f"""
WITH queue AS MATERIALIZED ({ANY_WAITING} AS waits)
SELECT waits, CASE WHEN waits THEN pg_try_advisory_xact_lock({DISPATCH_LOCK}) ELSE false END AS locked,
       set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', true)
FROM queue
""")
TAKE_LOCK = text(
    f"SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', true), pg_advisory_xact_lock({DISPATCH_LOCK})"
)
ANOTHER_WAITS = text(f"""
SELECT EXISTS (
    SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND classid = 0 AND objid = {DISPATCH_LOCK} AND objsubid = 1
)
""")
NOTE_TURNS = text("""
INSERT INTO tenants (name, served_at)
SELECT served.name, clock_timestamp() + make_interval(secs => served.place * 1e-6)
FROM unnest(CAST(:tenants AS text[]), CAST(:places AS int[])) AS served(name, place)
ON CONFLICT (name) DO UPDATE SET served_at = excluded.served_at
""")

TAKE_TURN = text("""
WITH locked AS MATERIALIZED (
    SELECT id, tenant FROM jobs WHERE id = :job_id AND status = 'queued' FOR UPDATE SKIP LOCKED
), noted AS (
    INSERT INTO tenants (name, served_at) SELECT tenant, clock_timestamp() FROM locked
    ON CONFLICT (name) DO UPDATE SET served_at = excluded.served_at
)
SELECT id FROM locked
""")

Publish = Callable[[uuid.UUID, str], None]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A job to announce to the workers of a model."""

    job_id: uuid.UUID
    model: str


def dispatch(
    database: Database,
    publish: Publish,
    *,
    redispatch_seconds: float,
    tenant_max_running: int = 0,
    tenant_slot_share: float = 1.0,
) -> int:
    """Announce the jobs that should run next and return their number. Can be called concurrently, at any time.

    It does nothing if no job waits, or if another dispatcher is about to begin.

    `tenant_max_running` limits the running jobs of a tenant without a limit of its own; 0: unlimited.
    `tenant_slot_share` is the largest part of a model's slots that one tenant gets while others wait. Raises
    Unavailable if the broker or the database does not respond, or another dispatcher does not finish; the next call
    then announces the jobs.
    """
    limits = DispatchLimits(redispatch_seconds, tenant_max_running, tenant_slot_share)
    with database.transaction() as session:
        if not _have_turn(session, limits):
            return 0
        chosen = _choose(session, limits)
    sent = 0
    try:
        for item in chosen:
            publish(item.job_id, item.model)
            sent += 1
    finally:
        _take_back(database, chosen[sent:])
    return sent


def _have_turn(session: Session, limits: DispatchLimits) -> bool:
    """Wait for the lock that serialises dispatchers; False if nothing waits or another one does what the caller wants.

    The holder of the lock may have read the queue before the caller's change was committed. One that still waits for
    the lock has not, so a second one beside it would find nothing left to do.
    """
    waits, locked = _try_turn(session, limits)
    if locked:
        return True
    if not waits or session.scalar(ANOTHER_WAITS):
        return False
    session.execute(TAKE_LOCK)
    return True


def _try_turn(session: Session, limits: DispatchLimits) -> tuple[bool, bool]:
    """Return whether anything waits, and whether the lock of dispatchers is held now.

    What waits is a job that was not announced recently, or one for which a worker is reserved.
    """
    row = session.execute(TRY_LOCK, {"redispatch_seconds": limits.redispatch_seconds}).one()
    return row.waits, row.locked


def _choose(session: Session, limits: DispatchLimits) -> list[Chosen]:
    chosen: list[Chosen] = []
    counts = running_counts(session, limits)
    by_model: dict[str, list[WorkerLoad]] = {}
    for seat in worker_loads(session):
        by_model.setdefault(seat.model, []).append(seat)
    for model, all_seats in sorted(by_model.items()):
        seated = reserve_workers(session, model, all_seats, full_keys(session, counts), limits)
        chosen += [Chosen(suspect.job_id, model) for suspect in _admitted(session, model, seated.ready, counts, limits)]
        room = Room.of(model, seated.open, counts)
        if room.free > 0:
            taken = jobs_for(session, room, counts, limits)
            chosen += [Chosen(job.job_id, model) for job in taken]
            _note_turns(session, [job.tenant for job in taken])
    return _announced(session, chosen)


def _admitted(
    session: Session, model: str, ready: Sequence[QuarantinedJob], counts: RunningCounts, limits: DispatchLimits
) -> list[QuarantinedJob]:
    """Return the suspects that may run now, and count them as running, before any job that takes a free slot."""
    admitted: list[QuarantinedJob] = []
    for suspect in ready:
        if suspect.key_id in full_keys(session, counts):
            continue
        if suspect.tenant in full_tenants(session, counts, limits):
            continue
        counts.of_tenant[suspect.tenant] += 1
        counts.of_model[model][suspect.tenant] += 1
        if suspect.key_id is not None:
            counts.of_key[suspect.key_id] += 1
        admitted.append(suspect)
    return admitted


@dataclass(frozen=True, slots=True)
class NextJob:
    """The job for a free slot, if there is one; `more`: a dispatch may find jobs for free slots."""

    job_id: uuid.UUID | None
    more: bool


def next_job(session: Session, worker: str, model: str, limits: DispatchLimits) -> NextJob:
    """Choose the job that dispatch would announce first, for a free slot of this worker, and lock its row.

    The caller claims it in the same transaction. It gets none while another process dispatches, which serves the slot;
    nor if the worker is reserved for a suspect, is to drain, or if all free slots are those of announced jobs.
    """
    waits, locked = _try_turn(session, limits)
    if not locked:
        return NextJob(None, more=waits)
    counts = running_counts(session, limits)
    loads = worker_loads(session)
    seats = [seat for seat in loads if seat.model == model]
    seated = reserve_workers(session, model, seats, full_keys(session, counts), limits)
    room = Room.of(model, seated.open, counts)
    own = sum(seat.slots - seat.running for seat in seated.open if seat.worker == worker)
    if own <= 0 or room.free <= 0:
        return NextJob(None, more=True)
    _admitted(session, model, seated.ready, counts, limits)  # they come first: the limits that they reach are reached
    taken = jobs_for(session, replace(room, free=1), counts, limits)
    chosen = session.scalar(TAKE_TURN, {"job_id": taken[0].job_id}) if taken else None
    # This worker's other free slots need no dispatch: each thread that frees one calls this as well, or dispatches.
    for_others = bool(seated.ready) or room.free > own or len(seats) < len(loads)
    return NextJob(chosen, more=for_others or (chosen is None and bool(taken)))


def _unlocked(session: Session, job_ids: Sequence[uuid.UUID]) -> Sequence[uuid.UUID]:
    """Lock those of these jobs that are queued and that no other transaction has locked; returns them."""
    free = select(JobRow.id).where(JobRow.id.in_(job_ids), JobRow.status == Status.QUEUED)
    return session.scalars(free.with_for_update(skip_locked=True)).all() if job_ids else []


def _note_turns(session: Session, served: Sequence[str]) -> None:
    """Store when a tenant was served, by the current clock: a transaction that waited began before its turn."""
    last = {tenant: place for place, tenant in enumerate(served)}
    if last:
        session.execute(NOTE_TURNS, {"tenants": list(last), "places": list(last.values())})


def _announced(session: Session, chosen: Sequence[Chosen]) -> list[Chosen]:
    """Mark the selected jobs, except those locked by another transaction, which wait for the next dispatch."""
    marked = set(_unlocked(session, [item.job_id for item in chosen]))
    if marked:
        session.execute(update(JobRow).where(JobRow.id.in_(marked)).values(dispatched_at=func.now()))
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
