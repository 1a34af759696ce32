"""Objects derived from a job's audio for browsers: requested through the API, made by the light worker.

There are two kinds: the audio in a format that browsers play, and its loudness over time, for drawing the waveform. A
job has one of each.
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
from common.db.leases import from_now, is_over
from common.models import DerivedObject, JobRow, PeaksRow, RenditionRow

LEASE_SECONDS = 60.0
# A rendition that could not be made now waits for this long, so that others go first.
RETRY_SECONDS = 30.0
WANTED, READY, FAILED = "wanted", "ready", "failed"


class Kind(StrEnum):
    """The kind of rendition; the value is part of the storage key."""

    PLAYABLE = "playable"
    PEAKS = "peaks"


ROWS: dict[Kind, type[RenditionRow] | type[PeaksRow]] = {Kind.PLAYABLE: RenditionRow, Kind.PEAKS: PeaksRow}


@dataclass(frozen=True, slots=True)
class Rendition:
    """A rendition of the audio under `source_key`.

    `key` is its storage key once it is ready; `error_message` may say why it cannot be made.
    """

    job_id: uuid.UUID
    source_key: str
    status: str
    key: str | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class RenditionTask:
    """A rendition that this process is to make as long as it holds the token."""

    job_id: uuid.UUID
    source_key: str
    token: uuid.UUID
    kind: Kind = Kind.PLAYABLE
    track: str = "default"

    @property
    def key(self) -> str:
        """The storage key of the rendition: under the job's prefix, so that it is deleted with the audio."""
        return audio_keys.derived(self.source_key, self.kind.value, self.token)


def ask(database: Database, job_id: uuid.UUID, source_key: str, kind: Kind = Kind.PLAYABLE) -> Rendition:
    """Return the state of a rendition, requesting it first if needed.

    If a job's audio was fetched again, a new rendition is requested.
    """
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
    """Claim a rendition that is waiting or whose lease has expired; None if there is none."""
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
    """Renew the lease; False if it was lost."""
    return _change(database, order, lease_expires_at=from_now(LEASE_SECONDS))


def ready(database: Database, order: RenditionTask) -> bool:
    """Mark the rendition as stored under its key; False if it is no longer wanted, in which case delete it."""
    return _change(database, order, status=READY, key=order.key)


def failed(database: Database, order: RenditionTask, message: str) -> bool:
    """Record that the rendition cannot be made."""
    return _change(database, order, status=FAILED, error_message=message)


def give_back(database: Database, order: RenditionTask) -> bool:
    """Give the rendition back because it cannot be made now; it can be claimed again later, after others."""
    return _change(database, order, token=None, lease_expires_at=from_now(RETRY_SECONDS))


def named(session: Session, jobs: Mapping[str, uuid.UUID]) -> set[str]:
    """Return those of these keys (each with its job) that are in use: stored or being made."""
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
