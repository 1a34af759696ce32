"""Idempotent requests: the response to the first request is stored under the caller's `Idempotency-Key`.

A request first acquires its key with a lease, which it renews while reading its body; what it creates and its response
are then committed together. So a process that dies holds a key only until the lease expires, never for a day.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.db.leases import ago, from_now, is_over
from common.errors import IdempotencyKeyInUse, IdempotencyKeyReused
from common.models import IdempotencyRow
from common.time_limit import TimeLimit

KEPT_SECONDS = 24 * 3600.0
LEASE_SECONDS = 30.0
RENEW_SECONDS = 10.0
EXPIRE_AT_A_TIME = 1000
# Used as the key id of callers without an API key: a primary key column cannot be NULL.
NOBODY = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class IdempotencyScope:
    """The owner of an idempotency key: two API keys may use the same one for different requests."""

    tenant: str
    key_id: uuid.UUID | None
    key: str


@dataclass(frozen=True, slots=True)
class IdempotencyLease:
    """An idempotency key that this request holds as long as it renews the lease."""

    scope: IdempotencyScope
    token: uuid.UUID


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """The response to the first request, and the fingerprint of that request."""

    fingerprint: bytes
    status: int
    body: bytes
    location: str | None

    def for_request(self, fingerprint: bytes) -> StoredResponse:
        """Return itself. Raises IdempotencyKeyReused if the repeated request differs from the first."""
        if fingerprint != self.fingerprint:
            raise IdempotencyKeyReused("this Idempotency-Key was already used for a different request")
        return self


def begin(database: Database, scope: IdempotencyScope) -> IdempotencyLease | StoredResponse:
    """Acquire the key, or return the response stored under it.

    Raises IdempotencyKeyInUse while another request with this key is still in progress.
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
    """Renew the lease of the key."""
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
    """Store the response in the transaction that creates the resource; it is deleted together with the resource.

    Raises IdempotencyKeyInUse if the lease expired and another request holds the key now.
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
    """Release the key unused after an error, so that a corrected request can use it."""
    with database.transaction() as session:
        session.execute(delete(IdempotencyRow).where(*_held(held)))


def expire(database: Database, limit: TimeLimit) -> int:
    """Delete keys older than a day; returns how many."""
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
