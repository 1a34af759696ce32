"""The GPU workers that are alive: who they are, what they serve, how many jobs they take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.models import WorkerRow

# A worker writes its heartbeat with each renewal, every second or so.
ALIVE_SECONDS = 30.0
FORGET_SECONDS = 24 * 3600.0


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


def seconds(value: float) -> ColumnElement[timedelta]:
    """A PostgreSQL interval."""
    return literal(timedelta(seconds=value))


def register_worker(database: Database, worker: Worker) -> None:
    """Say that a worker is there and ready for jobs."""
    with database.transaction() as session:
        heartbeat(session, worker, draining=False)


def heartbeat(session: Session, worker: Worker, *, draining: bool) -> None:
    """Say, within the caller's transaction, that a worker is alive; a row that is missing is made again."""
    told = {
        "model": worker.model,
        "revision": worker.revision,
        "precision": worker.precision,
        "device": worker.device,
        "slots": worker.slots,
        "heartbeat_at": func.now(),
        "draining": draining,
    }
    session.execute(
        insert(WorkerRow).values(id=worker.id, **told).on_conflict_do_update(index_elements=["id"], set_=told)
    )


def unregister_worker(database: Database, worker: str) -> None:
    """Say that a worker is gone."""
    with database.transaction() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.id == worker))


def forget_dead_workers(database: Database) -> None:
    """Drop the rows of workers that have been silent for a day."""
    with database.transaction() as session:
        session.execute(delete(WorkerRow).where(WorkerRow.heartbeat_at < func.now() - seconds(FORGET_SECONDS)))


def live_workers(database: Database) -> list[Worker]:
    """The workers that were heard of lately and take jobs."""
    with database.transaction() as session:
        rows = session.scalars(select(WorkerRow).where(alive()).order_by(WorkerRow.started_at))
        return [
            Worker(row.id, row.model, row.revision, row.precision, row.device, row.slots, row.started_at)
            for row in rows
        ]


def alive() -> ColumnElement[bool]:
    """The condition on a worker's row that `live_workers` and `dispatch` share."""
    fresh = WorkerRow.heartbeat_at > func.now() - seconds(ALIVE_SECONDS)
    return fresh & WorkerRow.draining.is_(False)
