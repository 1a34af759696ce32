"""Requests that may be repeated: the first one's answer is kept under the caller's `Idempotency-Key`.

A request first takes its key, with a lease that it renews while it reads its body; what it made and its answer are
then committed together. So a process that dies keeps a key for as long as the lease, and never a day.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from common.leases import ago, from_now, is_over
from common.models import IdempotencyRow
from common.time_limit import TimeLimit

KEPT_SECONDS = 24 * 3600.0
LEASE_SECONDS = 30.0
RENEW_SECONDS = 10.0
EXPIRE_AT_A_TIME = 1000
# In the place of a key's id where the caller has none: part of a primary key, which knows no NULL.
NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class IdempotencyScope:
    """Whose key it is: two API keys may use the same one for different things."""

    tenant: str
    key_id: uuid.UUID | None
    key: str


@dataclass(frozen=True, slots=True)
class IdempotencyLease:
    """A key that is this request's, as long as its lease is renewed."""

    scope: IdempotencyScope
    token: uuid.UUID


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """What the first request was answered, and what it had asked for."""

    fingerprint: bytes
    status: int
    body: bytes
    location: str | None

    def for_request(self, fingerprint: bytes) -> StoredResponse:
        """Itself. Raises IdempotencyKeyReused where the repeat asks for something else."""
        if fingerprint != self.fingerprint:
            raise IdempotencyKeyReused("this Idempotency-Key was already used for a different request")
        return self


def begin(database: Database, scope: IdempotencyScope) -> IdempotencyLease | StoredResponse:
    """Take the key, or get the answer that is kept under it.

    Raises IdempotencyKeyInUse while another request with it has not been answered.
    """
    token = uuid.uuid4()
    fresh: dict[str, Any] = {
        "created_at": func.now(),
        "token": token,
        "lease_expires_at": from_now(LEASE_SECONDS),
        **dict.fromkeys(("fingerprint", "status", "body", "location", "job_id", "batch_id")),
    }
    abandoned = and_(IdempotencyRow.status.is_(None), is_over(IdempotencyRow.lease_expires_at))
    taken = (
        insert(IdempotencyRow)
        .values(tenant=scope.tenant, key_id=scope.key_id or NOBODY, key=scope.key, **fresh)
        .on_conflict_do_update(index_elements=["tenant", "key_id", "key"], set_=fresh, where=or_(abandoned, _too_old()))
        .returning(IdempotencyRow.token)
    )
    with database.transaction() as session:
        if session.scalar(taken) is not None:
            return IdempotencyLease(scope, token)
        row = session.scalars(select(IdempotencyRow).where(*_named(scope))).one_or_none()
        if row is None or row.status is None:
            raise IdempotencyKeyInUse("a request with this Idempotency-Key is still in progress")
        return StoredResponse(row.fingerprint or b"", row.status, row.body or b"", row.location)


def renew(database: Database, held: IdempotencyLease) -> None:
    """Keep the key for another while."""
    with database.transaction() as session:
        session.execute(update(IdempotencyRow).where(*_held(held)).values(lease_expires_at=from_now(LEASE_SECONDS)))


def keep(
    session: Session,
    held: IdempotencyLease,
    answer: StoredResponse,
    *,
    job_id: uuid.UUID | None = None,
    batch_id: uuid.UUID | None = None,
) -> None:
    """Keep the answer, in the transaction of what was made; it goes when that is deleted.

    Raises IdempotencyKeyInUse where the lease ran out and another request has the key now.
    """
    kept = (
        update(IdempotencyRow)
        .where(*_held(held))
        .values(
            fingerprint=answer.fingerprint,
            status=answer.status,
            body=answer.body,
            location=answer.location,
            lease_expires_at=None,
            job_id=job_id,
            batch_id=batch_id,
        )
        .returning(IdempotencyRow.token)
    )
    if session.scalar(kept) is None:
        raise IdempotencyKeyInUse("another request has taken over this Idempotency-Key")


def release(database: Database, held: IdempotencyLease) -> None:
    """Give the key back unused, after an error: a corrected request may have it."""
    with database.transaction() as session:
        session.execute(delete(IdempotencyRow).where(*_held(held)))


def expire(database: Database, limit: TimeLimit) -> int:
    """Delete what is older than a day; returns how many."""
    name = (IdempotencyRow.tenant, IdempotencyRow.key_id, IdempotencyRow.key)
    old = select(*name).where(_too_old()).order_by(IdempotencyRow.created_at).limit(EXPIRE_AT_A_TIME)
    due = old.with_for_update(skip_locked=True)
    statement = delete(IdempotencyRow).where(tuple_(*name).in_(due)).returning(IdempotencyRow.token)

    def some() -> int:
        with database.transaction() as session:
            return len(session.scalars(statement).all())

    return limit.until_done(some)


def _too_old() -> ColumnElement[bool]:
    return IdempotencyRow.created_at < ago(KEPT_SECONDS)


def _named(scope: IdempotencyScope) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyRow.tenant == scope.tenant,
        IdempotencyRow.key_id == (scope.key_id or NOBODY),
        IdempotencyRow.key == scope.key,
    )


def _held(held: IdempotencyLease) -> tuple[ColumnElement[bool], ...]:
    return (*_named(held.scope), IdempotencyRow.token == held.token, IdempotencyRow.status.is_(None))
