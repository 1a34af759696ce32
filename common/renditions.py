"""What is made of a job's audio when a browser asks for it: asked for by the API, made by the light worker.

There are two kinds: the audio in a form that browsers play, and how loud it is at each moment, for drawing it. One of
each for a job.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import audio_keys
from common.db import Database
from common.leases import from_now, is_over
from common.models import DerivedObject, JobRow, PeaksRow, RenditionRow

LEASE_SECONDS = 60.0
# One that could not be made now waits for so long; others go first.
RETRY_SECONDS = 30.0
WANTED, READY, FAILED = "wanted", "ready", "failed"


class Kind(StrEnum):
    """What is made; the value is part of the key in storage."""

    PLAYABLE = "playable"
    PEAKS = "peaks"


ROWS: dict[Kind, type[RenditionRow] | type[PeaksRow]] = {Kind.PLAYABLE: RenditionRow, Kind.PEAKS: PeaksRow}


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
    kind: Kind = Kind.PLAYABLE
    track: str = "default"

    @property
    def key(self) -> str:
        """Where it is to lie: beside the audio, so that it goes with it."""
        return audio_keys.derived(self.source_key, self.kind.value, self.token)


def ask(database: Database, job_id: uuid.UUID, source_key: str, kind: Kind = Kind.PLAYABLE) -> Rendition:
    """How far it is; the first to ask has it made. A job whose audio was fetched anew gets a new one."""
    fresh: dict[str, Any] = {
        "source_key": source_key,
        "status": WANTED,
        "key": None,
        "error_message": None,
        "token": None,
    }
    fresh["lease_expires_at"] = None
    table = ROWS[kind]
    begin = insert(table).values(job_id=job_id, **fresh)
    begin = begin.on_conflict_do_update(index_elements=[table.job_id], set_=fresh, where=table.source_key != source_key)
    with database.transaction() as session:
        session.execute(begin)
        row = cast(DerivedObject, session.scalars(select(table).where(table.job_id == job_id)).one())
        return Rendition(row.job_id, row.source_key, row.status, row.key, row.error_message)


def take(database: Database, kind: Kind = Kind.PLAYABLE) -> RenditionTask | None:
    """One that waits, or whose maker is silent; None where there is none."""
    token = uuid.uuid4()
    table = ROWS[kind]
    due = (
        select(table.job_id)
        .where(table.status == WANTED)
        .where(or_(table.lease_expires_at.is_(None), is_over(table.lease_expires_at)))
        .order_by(table.requested_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    with database.transaction() as session:
        taken = session.execute(
            update(table)
            .where(table.job_id == due.scalar_subquery())
            .values(token=token, lease_expires_at=from_now(LEASE_SECONDS))
            .returning(table.job_id, table.source_key)
        ).one_or_none()
        if taken is None:
            return None
        track = session.scalar(select(JobRow.audio_track).where(JobRow.id == taken[0]))
        return RenditionTask(taken[0], taken[1], token, kind, track or "default")


def keep(database: Database, order: RenditionTask) -> bool:
    """Renew the lease; False where the order is not ours any more."""
    return _change(database, order, lease_expires_at=from_now(LEASE_SECONDS))


def ready(database: Database, order: RenditionTask) -> bool:
    """It lies under its key. False where nobody wants it any more: delete it then."""
    return _change(database, order, status=READY, key=order.key)


def failed(database: Database, order: RenditionTask, message: str) -> bool:
    """It cannot be made."""
    return _change(database, order, status=FAILED, error_message=message)


def give_back(database: Database, order: RenditionTask) -> bool:
    """It cannot be made now: somebody else may try, or we later, and others go first."""
    return _change(database, order, token=None, lease_expires_at=from_now(RETRY_SECONDS))


def named(session: Session, jobs: Mapping[str, uuid.UUID]) -> set[str]:
    """Those of these keys, each with its job, under which something lies or is being made."""
    wanted = set(jobs.values())
    rows = [
        cast(DerivedObject, row)
        for table in ROWS.values()
        for row in session.scalars(select(table).where(table.job_id.in_(wanted)))
    ]
    made = {row.key for row in rows}
    tokens = {(row.job_id, row.token.hex) for row in rows if row.token is not None}
    return {key for key, job_id in jobs.items() if key in made or (job_id, audio_keys.token_of_derived(key)) in tokens}


def _change(database: Database, order: RenditionTask, **changes: Any) -> bool:
    table = ROWS[order.kind]
    mine = update(table).where(table.job_id == order.job_id, table.token == order.token, table.status == WANTED)
    with database.transaction() as session:
        return session.scalar(mine.values(**changes).returning(table.job_id)) is not None
