"""Audio made over into a form that browsers play: asked for by the API, made by the light worker, one for each job."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from common.db import Database
from common.models import RenditionRow

LEASE_SECONDS = 60.0
WANTED, READY, FAILED = "wanted", "ready", "failed"


@dataclass(frozen=True, slots=True)
class Rendition:
    """Of the audio under `source_key`. `key` is where it lies, once it is ready; else maybe why it cannot be made."""

    job_id: uuid.UUID
    source_key: str
    status: str
    key: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """A rendition that this process is to make, while it holds the token."""

    job_id: uuid.UUID
    source_key: str
    token: uuid.UUID

    @property
    def key(self) -> str:
        """Where it is to lie: beside the audio, so that it goes with it."""
        return f"{self.source_key.rpartition('/')[0]}/playable-{self.token.hex}"


def _lease_end() -> ColumnElement[Any]:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, LEASE_SECONDS)


def ask(database: Database, job_id: uuid.UUID, source_key: str) -> Rendition:
    """How far it is; the first to ask has it made. A job whose audio was fetched anew gets a new one."""
    fresh = {"source_key": source_key, "status": WANTED, "key": None, "error_message": None, "token": None}
    begin = insert(RenditionRow).values(job_id=job_id, **fresh)
    begin = begin.on_conflict_do_update(
        index_elements=[RenditionRow.job_id], set_=fresh, where=RenditionRow.source_key != source_key
    )
    with database.transaction() as session:
        session.execute(begin)
        row = session.scalars(select(RenditionRow).where(RenditionRow.job_id == job_id)).one()
        return Rendition(row.job_id, row.source_key, row.status, row.key, row.error_message)


def take(database: Database) -> Order | None:
    """One that waits, or whose maker is silent; None where there is none."""
    token = uuid.uuid4()
    due = (
        select(RenditionRow.job_id)
        .where(RenditionRow.status == WANTED)
        .where(or_(RenditionRow.token.is_(None), RenditionRow.lease_expires_at < func.now()))
        .order_by(RenditionRow.requested_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with database.transaction() as session:
        taken = session.execute(
            update(RenditionRow)
            .where(RenditionRow.job_id == due.scalar_subquery())
            .values(token=token, lease_expires_at=_lease_end())
            .returning(RenditionRow.job_id, RenditionRow.source_key)
        ).one_or_none()
        return Order(taken[0], taken[1], token) if taken is not None else None


def keep(database: Database, order: Order) -> bool:
    """Renew the lease; False where the order is not ours any more."""
    return _change(database, order, lease_expires_at=_lease_end())


def ready(database: Database, order: Order) -> bool:
    """It lies under its key. False where nobody wants it any more: delete it then."""
    return _change(database, order, status=READY, key=order.key)


def failed(database: Database, order: Order, message: str) -> bool:
    """It cannot be made."""
    return _change(database, order, status=FAILED, error_message=message)


def give_back(database: Database, order: Order) -> bool:
    """Somebody else may try, or we later."""
    return _change(database, order, token=None)


def names(database: Database, job_id: uuid.UUID, key: str) -> bool:
    """Whether a rendition lies under the key, or is being made there."""
    with database.transaction() as session:
        row = session.get(RenditionRow, job_id)
        if row is None:
            return False
        return row.key == key or (row.token is not None and key.endswith(row.token.hex))


def _change(database: Database, order: Order, **changes: Any) -> bool:
    mine = update(RenditionRow).where(
        RenditionRow.job_id == order.job_id, RenditionRow.token == order.token, RenditionRow.status == WANTED
    )
    with database.transaction() as session:
        return session.scalar(mine.values(**changes).returning(RenditionRow.job_id)) is not None
