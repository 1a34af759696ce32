"""The live GPU workers: their identity, the models they serve, and the number of jobs they accept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.db.leases import ago
from common.errors import NotFound
from common.job_states import Status
from common.models import JobRow, WorkerRow
from common.options.model_cards import ModelCard, card_of

# A worker writes its heartbeat with each renewal, about every second.
ALIVE_SECONDS = 30.0
# The same condition on a row of `workers`, for raw SQL statements.
ALIVE_SQL = f"heartbeat_at > now() - make_interval(secs => {ALIVE_SECONDS})"
FORGET_SECONDS = 24 * 3600.0
# After a crash of the server the last renewals may be missing: leases then end some tenths of a second earlier. A
# transaction that notifies holds a lock of the whole server while it commits, so waiting for the disk there would make
# all of them wait in turn.
COMMIT_WITHOUT_WAITING = func.set_config("synchronous_commit", "off", True)


class Drain(StrEnum):
    """An operator's request to a worker: accept no new jobs and stay, or also exit when its jobs are done."""

    STAY = "stay"
    END = "end"


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker process and the model bundle it serves."""

    id: str
    model: str
    revision: str
    precision: str
    device: str
    slots: int
    started_at: datetime | None = None
    card: ModelCard = field(default_factory=ModelCard)


@dataclass(frozen=True, slots=True)
class WorkerState:
    """The state of a known worker, dead or alive, and its current load."""

    worker: Worker
    silent_seconds: float
    draining: bool
    drain: Drain | None
    running: int

    @property
    def alive(self) -> bool:
        """Whether its last heartbeat is recent, draining or not."""
        return self.silent_seconds < ALIVE_SECONDS


def register_worker(database: Database, worker: Worker) -> None:
    """Register a worker that is ready for jobs."""
    with database.transaction() as session:
        heartbeat(session, worker, draining=False)


def heartbeat(session: Session, worker: Worker, *, draining: bool) -> Drain | None:
    """Record a worker's heartbeat within the caller's transaction; a missing row is created again.

    Returns the operator's drain request, if any. The commit of this transaction does not wait for the disk.
    """
    values: dict[str, Any] = {
        "model": worker.model,
        "revision": worker.revision,
        "precision": worker.precision,
        "device": worker.device,
        "slots": worker.slots,
        "card": asdict(worker.card),
        "heartbeat_at": func.now(),
        "draining": draining,
    }
    kept = values | {"draining": literal(draining) | WorkerRow.drain.is_not(None)}
    requested = session.scalar(
        insert(WorkerRow)
        .values(id=worker.id, **values)
        .on_conflict_do_update(index_elements=["id"], set_=kept)
        .returning(WorkerRow.drain, COMMIT_WITHOUT_WAITING)
    )
    return Drain(requested) if requested else None


def unregister_worker(database: Database, worker: str) -> None:
    """Remove a worker that exits."""
    with database.transaction() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.id == worker))


def forget_dead_workers(database: Database) -> None:
    """Delete the rows of workers that have been silent for a day."""
    with database.transaction() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.heartbeat_at < ago(FORGET_SECONDS)))


def ask_to_drain(database: Database, worker: str, drain: Drain | None) -> None:
    """Request that a worker accept no new jobs from now on, or, with None, accept jobs again. Raises NotFound."""
    with database.transaction() as session:
        statement = update(WorkerRow).where(WorkerRow.id == worker).values(drain=drain, draining=drain is not None)
        if session.scalar(statement.returning(WorkerRow.id)) is None:
            raise NotFound(f"there is no worker {worker!r}")


def known_workers(database: Database) -> list[WorkerState]:
    """Return all workers of the last day, including those that died without unregistering; the oldest first."""
    running = (
        select(func.count())
        .where(JobRow.lease_worker == WorkerRow.id, JobRow.status == Status.PROCESSING)
        .scalar_subquery()
    )
    silent = func.extract("epoch", func.now() - WorkerRow.heartbeat_at)
    with database.transaction() as session:
        rows = session.execute(select(WorkerRow, silent, running).order_by(WorkerRow.started_at, WorkerRow.id))
        return [
            WorkerState(_worker_of(row), float(age), row.draining, Drain(row.drain) if row.drain else None, int(number))
            for row, age, number in rows
        ]


def live_workers(database: Database) -> list[Worker]:
    """Return the workers that have a recent heartbeat and accept jobs."""
    with database.transaction() as session:
        rows = session.scalars(select(WorkerRow).where(alive()).order_by(WorkerRow.started_at))
        return [_worker_of(row) for row in rows]


def known_card(database: Database, model: str) -> ModelCard:
    """Return the model card that the most recently seen worker reported; empty if none of the last day serves it."""
    with database.transaction() as session:
        newest = select(WorkerRow.card).where(WorkerRow.model == model).order_by(WorkerRow.heartbeat_at.desc()).limit(1)
        return card_of(session.scalar(newest))


def speaker_models(database: Database) -> frozenset[str]:
    """Return the speaker models of all workers of the last day; empty if none of them has one or says which."""
    with database.transaction() as session:
        cards = [card_of(stored) for stored in session.scalars(select(WorkerRow.card))]
    return frozenset(card.speaker_model for card in cards if card.speaker_model is not None)


def _worker_of(row: WorkerRow) -> Worker:
    card = card_of(row.card)
    return Worker(row.id, row.model, row.revision, row.precision, row.device, row.slots, row.started_at, card)


def alive() -> ColumnElement[bool]:
    """Build the condition on a worker's row that `live_workers` and `dispatch` share."""
    fresh = WorkerRow.heartbeat_at > ago(ALIVE_SECONDS)
    return fresh & WorkerRow.draining.is_(False)
