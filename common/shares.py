"""Share links: people without a key read one completed transcript with them.

The token in a link is a secret of 256 random bits, of which only the hash is stored. A link works until it expires, is
revoked or its transcript is deleted, while its tenant permits links, and as long as the API key that made it. No link
works for longer than the operator permits now (`longest_seconds`), however long it was made for.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, insert, literal, or_, select, update
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.db.leases import ago, from_now, interval
from common.errors import SharingOff, TooManyShares
from common.job_states import Status
from common.models import ApiKeyRow, JobRow, ShareRow, TenantRow
from common.telemetry import get_logger
from common.time_limit import TimeLimit

log = get_logger(__name__)
TOKEN_PREFIX = "pq_share_"
TOKEN = re.compile(TOKEN_PREFIX + r"[A-Za-z0-9_-]{43}")
TOKEN_BYTES = 32
MAX_SHARES_OF_JOB = 20
# Exact times would cost an UPDATE and a dead row per call.
LAST_USED_SECONDS = 60
EXPIRE_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True)
class Share:
    """A link without its token. `made_by` is the API key; `last_used_at` is to the minute."""

    id: uuid.UUID
    created_at: datetime
    made_by: uuid.UUID | None
    audio: bool
    expires_at: datetime
    last_used_at: datetime | None
    views: int

    @property
    def public_id(self) -> str:
        """The public id of the link."""
        return ids.shown(ids.SHARE, self.id)


@dataclass(frozen=True, slots=True)
class NewShare:
    """What a new link permits. It expires after `seconds`, or at `latest` if that is earlier."""

    job_id: uuid.UUID
    tenant: str
    made_by: uuid.UUID | None
    seconds: float
    audio: bool = False
    latest: datetime | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """What a valid token permits: to read the transcript of one job and, with `audio`, to hear it."""

    share_id: uuid.UUID
    job_id: uuid.UUID
    tenant: str
    audio: bool
    expires_at: datetime

    @property
    def public_id(self) -> str:
        """The public id of the link."""
        return ids.shown(ids.SHARE, self.share_id)


def digest_of(token: str) -> bytes:
    """Return the hash under which a token is stored; SHA-256 suffices for 256 random bits."""
    return hashlib.sha256(token.encode()).digest()


def create(database: Database, new: NewShare, longest_seconds: float) -> tuple[Share, str]:
    """Create a link to the transcript of a completed job. The token cannot be read later.

    Raises NotFound; SharingOff; TooManyShares.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    with database.transaction() as session:
        held = select(JobRow.id).where(JobRow.id == new.job_id, JobRow.tenant == new.tenant)
        if session.scalar(held.with_for_update(key_share=True)) is None:  # one link at a time, so that the limit holds
            raise ids.missing(ids.JOB, new.job_id)
        if not permitted_in(session, new.tenant):
            raise SharingOff("sharing is switched off for this tenant")
        if len(session.execute(_live_of(new.job_id, longest_seconds)).all()) >= MAX_SHARES_OF_JOB:
            raise TooManyShares(f"the limit of {MAX_SHARES_OF_JOB} links is reached; revoke one first")
        expires_at: Any = from_now(new.seconds)
        if new.latest is not None:
            expires_at = func.least(expires_at, new.latest)
        values = {"id": ids.new_id(), "job_id": new.job_id, "made_by": new.made_by, "audio": new.audio}
        statement = insert(ShareRow).values(**values, hash=digest_of(token), expires_at=expires_at)
        row = session.scalars(statement.returning(ShareRow)).one()
        share = _share_of(row, row.expires_at)
    log.info("share_created", job_id=ids.shown(ids.JOB, new.job_id), share_id=share.public_id, audio=share.audio)
    return share, token


def of_job(database: Database, job_id: uuid.UUID, longest_seconds: float) -> list[Share]:
    """Return the links of a job that work, newest first."""
    with database.transaction() as session:
        return [_share_of(row, end) for row, end in session.execute(_live_of(job_id, longest_seconds))]


def revoke(database: Database, job_id: uuid.UUID, share_id: uuid.UUID) -> None:
    """End a link at once. Raises NotFound, also for a link to another job."""
    with database.transaction() as session:
        statement = delete(ShareRow).where(ShareRow.id == share_id, ShareRow.job_id == job_id)
        if session.scalar(statement.returning(ShareRow.id)) is None:
            raise ids.missing(ids.SHARE, share_id)
    log.info("share_revoked", job_id=ids.shown(ids.JOB, job_id), share_id=ids.shown(ids.SHARE, share_id))


def permitted(database: Database, tenant: str) -> bool:
    """Return whether a tenant permits links."""
    with database.transaction() as session:
        return permitted_in(session, tenant)


def permitted_in(session: Session, tenant: str) -> bool:
    """Return whether a tenant permits links; one without a row has not forbidden them."""
    return session.scalar(select(TenantRow.sharing).where(TenantRow.name == tenant)) is not False


def visit(database: Database, token: str, longest_seconds: float) -> Visit | None:
    """Return what a token permits now, None if nothing, and record its use. Nothing is cached: links end at once."""
    if TOKEN.fullmatch(token) is None:
        return None
    digest = digest_of(token)
    long_ago = ago(LAST_USED_SECONDS)
    unnoted = or_(ShareRow.last_used_at.is_(None), ShareRow.last_used_at < long_ago)
    end = _end(longest_seconds)
    statement = _usable(select(ShareRow, JobRow.tenant, unnoted, end), end).where(ShareRow.hash == digest)
    with database.transaction() as session:
        found = session.execute(statement).one_or_none()
        if found is None or not hmac.compare_digest(found.ShareRow.hash, digest):
            return None
        row, tenant, is_unnoted, expires_at = found
        if is_unnoted:
            _note(session, row.id, {"last_used_at": func.now()})
        return Visit(row.id, row.job_id, tenant, row.audio, expires_at)


def works(database: Database, visit: Visit) -> bool:
    """Return whether a link still permits what it did."""
    with database.transaction() as session:
        statement = _usable(select(ShareRow.id), literal(visit.expires_at)).where(ShareRow.id == visit.share_id)
        return session.scalar(statement) is not None


def count_view(database: Database, share_id: uuid.UUID) -> None:
    """Count that somebody opened the transcript."""
    with database.transaction() as session:
        _note(session, share_id, {"views": ShareRow.views + 1})


def expire(database: Database, limit: TimeLimit) -> int:
    """Delete links that have expired; returns how many."""
    over = select(ShareRow.id).where(ShareRow.expires_at <= func.now()).limit(EXPIRE_AT_A_TIME)
    due = over.with_for_update(skip_locked=True)
    statement = delete(ShareRow).where(ShareRow.id.in_(due)).returning(ShareRow.id)

    def some() -> int:
        with database.transaction() as session:
            return len(session.scalars(statement).all())

    return limit.until_done(some)


def _end(longest_seconds: float) -> ColumnElement[datetime]:
    """Return when a link ends."""
    return func.least(ShareRow.expires_at, ShareRow.created_at + interval(longest_seconds))


def _usable(statement: Select[*tuple[Any, ...]], end: ColumnElement[datetime]) -> Select[*tuple[Any, ...]]:
    """Restrict a query of links to those with which a visitor can read until `end`."""
    return (
        _live(statement, end)
        .join(JobRow, JobRow.id == ShareRow.job_id)
        .outerjoin(TenantRow, TenantRow.name == JobRow.tenant)
        .where(TenantRow.sharing.is_not(False))
        .where(JobRow.status == Status.COMPLETED, JobRow.result_deleted_at.is_(None))
    )


def _live(statement: Select[*tuple[Any, ...]], end: ColumnElement[datetime]) -> Select[*tuple[Any, ...]]:
    """Restrict a query of links to those whose `end` is not reached and whose key is not revoked."""
    made_with = statement.outerjoin(ApiKeyRow, ApiKeyRow.id == ShareRow.made_by)
    return made_with.where(end > func.now(), ApiKeyRow.revoked_at.is_(None))


def _live_of(job_id: uuid.UUID, longest_seconds: float) -> Select[*tuple[Any, ...]]:
    end = _end(longest_seconds)
    statement = _live(select(ShareRow, end), end).where(ShareRow.job_id == job_id)
    return statement.order_by(ShareRow.created_at.desc(), ShareRow.id.desc())


def _note(session: Session, share_id: uuid.UUID, values: dict[str, Any]) -> None:
    statement = update(ShareRow).where(ShareRow.id == share_id).values(**values)
    session.execute(statement.execution_options(synchronize_session=False))


def _share_of(row: ShareRow, expires_at: datetime) -> Share:
    return Share(
        id=row.id,
        created_at=row.created_at,
        made_by=row.made_by,
        audio=row.audio,
        expires_at=expires_at,
        last_used_at=row.last_used_at,
        views=row.views,
    )
