"""The log of deliveries: one row per event and receiver, which users read, replay and test.

With `tenant`, resources of other tenants are treated as missing.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, func, select, tuple_, update
from sqlalchemy.orm import Session

from common import ids
from common.db import Database, cursors
from common.errors import Expired, WrongState
from common.models import DeliveryRow, EndpointRow


class DeliveryStatus(StrEnum):
    """The state of a delivery; a dead one is retried only on request."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one receiver; `attempts` counts all attempts, `last_status` is the HTTP status of the last one."""

    id: uuid.UUID
    created_at: datetime
    event: str
    job_id: uuid.UUID | None
    batch_id: uuid.UUID | None
    endpoint_id: uuid.UUID | None
    url: str | None
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime
    last_attempt_at: datetime | None
    delivered_at: datetime | None
    last_status: int | None
    error: str | None
    answer: str | None

    @property
    def public_id(self) -> str:
        """The public id, also the `webhook-id` of every attempt."""
        return ids.shown(ids.DELIVERY, self.id)


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """A page of deliveries, newest first, and the cursor of the next page; None if this is the last page."""

    deliveries: tuple[Delivery, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; None does not filter."""

    endpoint_id: uuid.UUID | None = None
    job_id: uuid.UUID | None = None
    status: DeliveryStatus | None = None
    tenant: str | None = None


def delivery_of(row: DeliveryRow) -> Delivery:
    """Convert a row."""
    return Delivery(
        id=row.id,
        created_at=row.created_at,
        event=row.event,
        job_id=row.job_id,
        batch_id=row.batch_id,
        endpoint_id=row.endpoint_id,
        url=row.url,
        status=DeliveryStatus(row.status),
        attempts=row.attempts,
        next_attempt_at=row.next_attempt_at,
        last_attempt_at=row.last_attempt_at,
        delivered_at=row.delivered_at,
        last_status=row.last_status,
        error=row.error,
        answer=row.answer,
    )


def get_delivery(database: Database, delivery_id: uuid.UUID, *, tenant: str | None = None) -> Delivery:
    """Return one delivery. Raises NotFound."""
    with database.transaction() as session:
        return delivery_of(_existing(session, delivery_id, tenant))


def delivery_page(
    database: Database, only: DeliveryFilter, *, after: str | None = None, limit: int = 20
) -> DeliveryPage:
    """Return a page of the log, newest first. Raises InvalidRequest for an invalid cursor."""
    statement = (
        select(DeliveryRow)
        .where(*_conditions(only))
        .order_by(DeliveryRow.created_at.desc(), DeliveryRow.id.desc())
        .limit(limit + 1)
    )
    if after is not None:
        statement = statement.where(tuple_(DeliveryRow.created_at, DeliveryRow.id) < tuple_(*cursors.decoded(after)))
    with database.transaction() as session:
        page = tuple(delivery_of(row) for row in session.scalars(statement))
    if len(page) <= limit:
        return DeliveryPage(page, None)
    last = page[limit - 1]
    return DeliveryPage(page[:limit], cursors.encoded(last.created_at, last.id))


def _conditions(only: DeliveryFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if only.tenant is not None:
        conditions.append(DeliveryRow.tenant == only.tenant)
    if only.endpoint_id is not None:
        conditions.append(DeliveryRow.endpoint_id == only.endpoint_id)
    if only.job_id is not None:
        conditions.append(DeliveryRow.job_id == only.job_id)
    if only.status is not None:
        conditions.append(DeliveryRow.status == only.status)
    return conditions


def replay(database: Database, delivery_id: uuid.UUID, *, tenant: str | None = None) -> Delivery:
    """Send a delivery again with the same id and a new retry schedule.

    Raises NotFound; WrongState if its endpoint is disabled; Expired if its content was deleted.
    """
    with database.transaction() as session:
        row = _existing(session, delivery_id, tenant)
        if row.endpoint_id is not None:
            check_enabled(session, row.endpoint_id)
        if row.payload is None:
            raise Expired("the transcription of this delivery was deleted")
        again = update(DeliveryRow).where(DeliveryRow.id == delivery_id, DeliveryRow.payload.is_not(None))
        changed = session.scalars(again.values(**_ANEW).returning(DeliveryRow)).one_or_none()
        if changed is None:
            raise Expired("the transcription of this delivery was deleted")
        return delivery_of(changed)


def replay_since(
    database: Database, endpoint_id: uuid.UUID, since: datetime, *, only_dead: bool, tenant: str | None = None
) -> int:
    """Send again the delivered or dead deliveries of an endpoint since a given time; returns how many.

    Raises NotFound; WrongState if the endpoint is disabled. Pending deliveries are left alone.
    """
    states = [DeliveryStatus.DEAD] if only_dead else [DeliveryStatus.DEAD, DeliveryStatus.DELIVERED]
    with database.transaction() as session:
        check_enabled(session, endpoint_id, tenant)
        changed = session.scalars(
            update(DeliveryRow)
            .where(
                DeliveryRow.endpoint_id == endpoint_id,
                DeliveryRow.created_at >= since,
                DeliveryRow.status.in_(states),
                DeliveryRow.payload.is_not(None),
            )
            .values(**_ANEW)
            .returning(DeliveryRow.id)
        )
        return len(changed.all())


_ANEW = {
    "status": DeliveryStatus.PENDING.value,
    "failures": 0,
    "next_attempt_at": func.now(),
    "delivered_at": None,
}


def check_enabled(session: Session, endpoint_id: uuid.UUID, tenant: str | None = None) -> str:
    """Return the tenant of an enabled endpoint and lock it until the commit. Raises NotFound, WrongState."""
    held = select(EndpointRow.enabled, EndpointRow.tenant).where(EndpointRow.id == endpoint_id)
    row = session.execute(held.with_for_update(read=True)).one_or_none()
    if row is None or tenant not in (None, row.tenant):
        raise ids.missing(ids.WEBHOOK, endpoint_id)
    if not row.enabled:
        raise WrongState("the endpoint is disabled; enable it first")
    return str(row.tenant)


def _existing(session: Session, delivery_id: uuid.UUID, tenant: str | None) -> DeliveryRow:
    row = session.get(DeliveryRow, delivery_id)
    if row is None or tenant not in (None, row.tenant):
        raise ids.missing(ids.DELIVERY, delivery_id)
    return row
