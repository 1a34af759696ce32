"""What is made of a job's audio when a browser asks for it: asked for by the API, made by the light worker.

There are two kinds: the audio in a form that browsers play (`RenditionRow`, the default), and how loud it is at each
moment, for drawing it (`PeaksRow`). One of each for a job.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.models import DerivedObject, JobRow, PeaksRow, RenditionRow

Kind: TypeAlias = type[RenditionRow] | type[PeaksRow]
NAMES: dict[Kind, str] = {RenditionRow: "playable", PeaksRow: "peaks"}
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
class RenditionTask:
    """A rendition that this process is to make, while it holds the token."""

    job_id: uuid.UUID
    source_key: str
    token: uuid.UUID
    kind: Kind = RenditionRow
    track: str = "default"

    @property
    def key(self) -> str:
        """Where it is to lie: beside the audio, so that it goes with it."""
        return f"{self.source_key.rpartition('/')[0]}/{NAMES[self.kind]}-{self.token.hex}"


def _lease_end() -> ColumnElement[Any]:
    return func.now() + func.make_interval(0, 0, 0, 0, 0, 0, LEASE_SECONDS)


def ask(database: Database, job_id: uuid.UUID, source_key: str, kind: Kind = RenditionRow) -> Rendition:
    """How far it is; the first to ask has it made. A job whose audio was fetched anew gets a new one."""
    fresh = {"source_key": source_key, "status": WANTED, "key": None, "error_message": None, "token": None}
    begin = insert(kind).values(job_id=job_id, **fresh)
    begin = begin.on_conflict_do_update(index_elements=[kind.job_id], set_=fresh, where=kind.source_key != source_key)
    with database.transaction() as session:
        session.execute(begin)
        row = cast(DerivedObject, session.scalars(select(kind).where(kind.job_id == job_id)).one())
        return Rendition(row.job_id, row.source_key, row.status, row.key, row.error_message)


def take(database: Database, kind: Kind = RenditionRow) -> RenditionTask | None:
    """One that waits, or whose maker is silent; None where there is none."""
    token = uuid.uuid4()
    due = (
        select(kind.job_id)
        .where(kind.status == WANTED)
        .where(or_(kind.token.is_(None), kind.lease_expires_at < func.now()))
        .order_by(kind.requested_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with database.transaction() as session:
        taken = session.execute(
            update(kind)
            .where(kind.job_id == due.scalar_subquery())
            .values(token=token, lease_expires_at=_lease_end())
            .returning(kind.job_id, kind.source_key)
        ).one_or_none()
        if taken is None:
            return None
        track = session.scalar(select(JobRow.audio_track).where(JobRow.id == taken[0]))
        return RenditionTask(taken[0], taken[1], token, kind, track or "default")


def keep(database: Database, order: RenditionTask) -> bool:
    """Renew the lease; False where the order is not ours any more."""
    return _change(database, order, lease_expires_at=_lease_end())


def ready(database: Database, order: RenditionTask) -> bool:
    """It lies under its key. False where nobody wants it any more: delete it then."""
    return _change(database, order, status=READY, key=order.key)


def failed(database: Database, order: RenditionTask, message: str) -> bool:
    """It cannot be made."""
    return _change(database, order, status=FAILED, error_message=message)


def give_back(database: Database, order: RenditionTask) -> bool:
    """Somebody else may try, or we later."""
    return _change(database, order, token=None)


def named(session: Session, jobs: Mapping[str, uuid.UUID]) -> set[str]:
    """Those of these keys, each with its job, under which something lies or is being made."""
    wanted = set(jobs.values())
    rows = [
        cast(DerivedObject, row)
        for kind in NAMES
        for row in session.scalars(select(kind).where(kind.job_id.in_(wanted)))
    ]
    made = {row.key for row in rows}
    tokens = {(row.job_id, row.token.hex) for row in rows if row.token is not None}
    return {key for key, job_id in jobs.items() if key in made or (job_id, key.rpartition("-")[2]) in tokens}


def _change(database: Database, order: RenditionTask, **changes: Any) -> bool:
    kind = order.kind
    mine = update(kind).where(kind.job_id == order.job_id, kind.token == order.token, kind.status == WANTED)
    with database.transaction() as session:
        return session.scalar(mine.values(**changes).returning(kind.job_id)) is not None
