"""Quarantine: jobs suspected of killing their workers, and the workers reserved for them.

A job that loses its worker twice without a part in between is a suspect. It waits until a worker is idle and runs there
alone: if that worker dies too, no other job is lost with it, and the cause is known.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import BindParameter, ColumnElement, bindparam, func, select, text, update
from sqlalchemy.orm import Session, aliased

from common.db import Database
from common.db.leases import ago
from common.job_states import Outcome
from common.jobs.scheduling.queue_queries import DispatchLimits
from common.jobs.scheduling.workers import alive
from common.models import QUARANTINE_CRASHES, AttemptRow, JobRow, WorkerRow

# A job that is being fetched takes no slot, and cannot kill its worker.
IN_SLOT = "status = 'processing' AND {table}.audio_key IS NOT NULL"
SEATS = (
    select(
        WorkerRow.id,
        WorkerRow.model,
        WorkerRow.slots,
        WorkerRow.reserved_for,
        func.count(JobRow.id),
        func.coalesce(func.bool_or(JobRow.isolated), False),
    )
    .outerjoin(JobRow, (JobRow.lease_worker == WorkerRow.id) & text("jobs." + IN_SLOT.format(table="jobs")))
    .where(alive())
    .group_by(WorkerRow.id)
)


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """A worker that accepts jobs, and its current load."""

    worker: str
    model: str
    slots: int
    reserved_for: uuid.UUID | None
    running: int
    isolated: bool


@dataclass(frozen=True, slots=True)
class QuarantinedJob:
    """A job that waits to run alone; `announced`: a message for it was sent recently."""

    job_id: uuid.UUID
    tenant: str
    key_id: uuid.UUID | None
    announced: bool


@dataclass(frozen=True, slots=True)
class Reservations:
    """The workers that accept any job, and the suspects whose reserved workers are ready for them."""

    open: tuple[WorkerLoad, ...]
    ready: tuple[QuarantinedJob, ...]


def worker_loads(session: Session) -> list[WorkerLoad]:
    """Return the load of all live workers."""
    return [WorkerLoad(*row) for row in session.execute(SEATS)]


def reserve_workers(
    session: Session, model: str, all_seats: Sequence[WorkerLoad], full: Collection[uuid.UUID], limits: DispatchLimits
) -> Reservations:
    """Reserve a worker of the model for each suspect, but at most half of the workers, and at least one.

    A reservation lasts until its job has run or was canceled, or the worker is gone. A reserved worker accepts no new
    jobs; when it is idle, its suspect is ready.
    """
    suspects = _waiting(session, model, len(all_seats), full, limits)
    ids = [suspect.job_id for suspect in suspects]
    kept: dict[uuid.UUID, WorkerLoad] = {}
    for seat in all_seats:
        if seat.reserved_for in ids and seat.reserved_for not in kept and not seat.isolated:
            kept[seat.reserved_for] = seat
    room = max(1, len(all_seats) // 2) - len(kept) - sum(seat.isolated for seat in all_seats)
    candidates = sorted((s for s in all_seats if not s.isolated and s not in kept.values()), key=lambda s: s.running)
    kept |= dict(zip([i for i in ids if i not in kept], candidates[: max(0, room)], strict=False))
    _write(session, all_seats, {seat.worker: job_id for job_id, seat in kept.items()})
    idle = {job_id for job_id, seat in kept.items() if seat.running == 0}
    ready = tuple(suspect for suspect in suspects if suspect.job_id in idle and not suspect.announced)
    taken = {seat.worker for seat in kept.values()}
    return Reservations(tuple(seat for seat in all_seats if not seat.isolated and seat.worker not in taken), ready)


def _waiting(
    session: Session, model: str, number: int, full: Collection[uuid.UUID], limits: DispatchLimits
) -> list[QuarantinedJob]:
    announced = func.coalesce(JobRow.dispatched_at > ago(limits.redispatch_seconds), False)
    rows = session.execute(
        select(JobRow.id, JobRow.tenant, JobRow.key_id, announced)
        .where(
            text(f"jobs.status = 'queued' AND jobs.crashes >= {QUARANTINE_CRASHES}"),
            JobRow.model == model,
            JobRow.audio_key.is_not(None),
            # Not `now()`: the transaction may have waited for its turn since before the job was submitted.
            JobRow.not_before <= func.statement_timestamp(),
            JobRow.key_id.is_(None) | JobRow.key_id.not_in(full) | announced,
        )
        .order_by(JobRow.priority.desc(), JobRow.created_at)
        .limit(number)
    )
    return [QuarantinedJob(*row) for row in rows]


def _write(session: Session, all_seats: Sequence[WorkerLoad], reserved: dict[str, uuid.UUID]) -> None:
    for seat in all_seats:
        wanted = reserved.get(seat.worker)
        if seat.reserved_for != wanted:
            session.execute(update(WorkerRow).where(WorkerRow.id == seat.worker).values(reserved_for=wanted))


def of_worker() -> BindParameter[str]:
    """Build the parameter of a statement that stands for the worker."""
    return bindparam("of_worker")


def has_room() -> ColumnElement[bool]:
    """Build the condition that the worker has room for a job: a suspect runs alone; a draining worker takes none."""
    other = aliased(JobRow, name="other")
    beside = (
        select(other.id)
        .where(
            text("other." + IN_SLOT.format(table="other")),
            other.lease_worker == of_worker(),
            other.isolated | (JobRow.crashes >= QUARANTINE_CRASHES),
        )
        .correlate(JobRow)
    )
    closed = (WorkerRow.reserved_for != JobRow.id) | WorkerRow.drain.is_not(None)
    kept_free = select(WorkerRow.id).where(WorkerRow.id == of_worker(), closed).correlate(JobRow)
    return ~beside.exists() & ~kept_free.exists()


def forgive_crash(database: Database, job_id: uuid.UUID, token: uuid.UUID) -> bool:
    """Clear the suspicion from a lost attempt whose worker is alive after all: it was frozen, or cut off.

    To be called by the worker itself; False if the attempt was not lost, or was already forgiven.
    """
    with database.transaction() as session:
        lost = session.execute(
            update(AttemptRow)
            .where(
                AttemptRow.job_id == job_id,
                AttemptRow.token == token,
                AttemptRow.outcome == Outcome.LOST,
                AttemptRow.error_message.is_(None),
            )
            .values(error_message="the worker was alive, but silent for longer than its lease")
            .returning(AttemptRow.run, AttemptRow.isolated)
        ).one_or_none()
        if lost is None:
            return False
        session.execute(
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.run == lost.run)
            .values(
                crashes=func.greatest(JobRow.crashes - 1, 0),
                isolated_crashes=func.greatest(JobRow.isolated_crashes - int(lost.isolated), 0),
            )
        )
        return True
