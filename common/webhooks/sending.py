"""The light worker's operations on the outbox: find due deliveries, claim them, record the result.

A claimed delivery is due again when its lease expires: if a worker dies between sending and recording, it is sent once
more under the same id. Times come from PostgreSQL's clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select, update
from sqlalchemy.orm import Session

from common import ids
from common.db import Database, Prepared
from common.db.leases import ago, from_now
from common.models import DeliveryRow, EndpointRow
from common.webhooks.delivery import DeliveryStatus
from common.webhooks.endpoint import give_up_waiting

# How many due deliveries one query examines. If a single lane fills them all, the next query excludes that lane.
LOOK_AHEAD = 1000


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery due to be sent, its tenant, and the lane that it shares with others to the same receiver."""

    id: uuid.UUID
    lane: str
    tenant: str


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery claimed for the time of the lease; `failures` counts those of its current retry schedule.

    `sealed_secrets` are those of a registered endpoint, newest first; empty for a job's own URL. `traceparent` is that
    of the work that caused the event.
    """

    id: uuid.UUID
    lane: str
    attempt: int
    failures: int
    event: str
    created_at: datetime
    url: str
    data: dict[str, Any]
    sealed_secrets: tuple[bytes, ...]
    job_id: uuid.UUID | None = None
    traceparent: str | None = None

    @property
    def public_id(self) -> str:
        """The `webhook-id`, the same for every attempt."""
        return ids.shown(ids.DELIVERY, self.id)


@dataclass(frozen=True, slots=True)
class Report:
    """The result of an attempt: the HTTP status and first bytes of a response, if any, and the reason for a failure."""

    status: int | None
    answer: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Overdue:
    """Deliveries of one lane that should have been sent long ago."""

    lane: str
    count: int
    seconds: float


def overdue(database: Database, *, after_seconds: float) -> list[Overdue]:
    """Return the deliveries that have been due for this long without being sent, by lane; the longest first."""
    late = func.extract("epoch", func.now() - func.min(DeliveryRow.next_attempt_at))
    statement = (
        select(DeliveryRow.lane, func.count(), late)
        .where(
            DeliveryRow.status == DeliveryStatus.PENDING,
            DeliveryRow.next_attempt_at < ago(after_seconds),
        )
        .group_by(DeliveryRow.lane)
        .order_by(late.desc())
    )
    with database.transaction() as session:
        return [Overdue(lane, int(count), float(age)) for lane, count, age in session.execute(statement)]


def any_due(database: Database) -> bool:
    """Return whether any delivery is due."""
    return bool(database.run(_any_due(), {}))


@cache  # building it takes longer than running it, and each dispatch asks
def _any_due() -> Prepared:
    return Prepared(select(DeliveryRow.id).where(_is_due()).limit(1))


def due(
    database: Database,
    *,
    full: Collection[str],
    per_lane: int,
    full_tenants: Collection[str] = (),
    trusted: Collection[str] = (),
) -> list[Due]:
    """Return the deliveries to send next, oldest first, at most `per_lane` per lane, without those of full lanes.

    Of full tenants, only deliveries in trusted lanes are returned.
    """
    oldest = (
        select(DeliveryRow.id, DeliveryRow.lane, DeliveryRow.tenant, DeliveryRow.next_attempt_at)
        .where(_is_due(), DeliveryRow.lane.not_in(list(full)))
        .where(or_(DeliveryRow.tenant.not_in(list(full_tenants)), DeliveryRow.lane.in_(list(trusted))))
        .order_by(DeliveryRow.next_attempt_at)
        .limit(LOOK_AHEAD)
        .subquery()
    )
    place = func.row_number().over(partition_by=oldest.c.lane, order_by=oldest.c.next_attempt_at)
    placed = select(oldest, place.label("place")).subquery()
    statement = select(placed.c.id, placed.c.lane, placed.c.tenant).where(placed.c.place <= per_lane)
    with database.transaction() as session:
        rows = session.execute(statement.order_by(placed.c.place, placed.c.next_attempt_at))
        return [Due(row.id, row.lane, row.tenant) for row in rows]


def claim_deliveries(
    database: Database, delivery_ids: Sequence[uuid.UUID], *, lease_seconds: float
) -> list[ClaimedDelivery]:
    """Claim the deliveries that are still due in one conditional UPDATE; others were claimed by another worker.

    Deliveries of an endpoint disabled in the meantime become dead and are not returned.
    """
    mine = select(DeliveryRow.id).where(DeliveryRow.id.in_(delivery_ids), _is_due()).with_for_update(skip_locked=True)
    taken = (
        update(DeliveryRow)
        .where(DeliveryRow.id.in_(mine.scalar_subquery()))
        .values(
            attempts=DeliveryRow.attempts + 1,
            last_attempt_at=func.now(),
            next_attempt_at=from_now(lease_seconds),
        )
        .returning(DeliveryRow)
    )
    with database.transaction() as session:
        rows = session.scalars(taken).all()
        endpoint_ids = {row.endpoint_id for row in rows if row.endpoint_id is not None}
        endpoints = {
            row.id: row for row in session.scalars(select(EndpointRow).where(EndpointRow.id.in_(endpoint_ids)))
        }
        now = session.scalar(select(func.now())) if rows else None
        parcels = []
        for row in rows:
            parcel = _parcel(row, endpoints.get(row.endpoint_id) if row.endpoint_id else None, now)
            if parcel is None:
                row.status, row.error = DeliveryStatus.DEAD, "endpoint_disabled"
            else:
                parcels.append(parcel)
        return parcels


def _parcel(row: DeliveryRow, endpoint: EndpointRow | None, now: datetime | None) -> ClaimedDelivery | None:
    sealed: tuple[bytes, ...] = ()
    url = row.url
    if row.endpoint_id is not None:
        if endpoint is None or not endpoint.enabled:
            return None
        url, sealed = endpoint.url, (endpoint.secret,)
        until = endpoint.previous_secret_until
        if endpoint.previous_secret is not None and until is not None and now is not None and now < until:
            sealed = (endpoint.secret, endpoint.previous_secret)
    if url is None or row.payload is None:
        return None
    return ClaimedDelivery(
        id=row.id,
        lane=row.lane,
        attempt=row.attempts,
        failures=row.failures,
        event=row.event,
        created_at=row.created_at,
        url=url,
        data=row.payload,
        sealed_secrets=sealed,
        job_id=row.job_id,
        traceparent=row.traceparent,
    )


def record_delivered(database: Database, parcel: ClaimedDelivery, report: Report) -> None:
    """Record a delivery as delivered, even if another worker has claimed it in the meantime."""
    with database.transaction() as session:
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.id == parcel.id, DeliveryRow.status != DeliveryStatus.DELIVERED)
            .values(status=DeliveryStatus.DELIVERED, delivered_at=func.now(), failures=0, **_last(report))
        )


def record_failed(database: Database, parcel: ClaimedDelivery, report: Report, *, pause_seconds: float | None) -> None:
    """Record a failed attempt: retry after the pause or, with None, never."""
    with database.transaction() as session:
        _fail(session, parcel, report, pause_seconds)


def record_gone(database: Database, parcel: ClaimedDelivery, report: Report) -> None:
    """Disable the endpoint of a receiver that wants no more events; its waiting deliveries become dead."""
    with database.transaction() as session:
        # The endpoint first: the lock order of all code that locks both.
        endpoint_id = session.scalar(select(DeliveryRow.endpoint_id).where(DeliveryRow.id == parcel.id))
        disabled = session.scalar(
            update(EndpointRow)
            # If the URL has changed, it is another receiver, which has not responded yet.
            .where(EndpointRow.id == endpoint_id, EndpointRow.url == parcel.url)
            .values(enabled=False, disabled_reason="the receiver answered 410 Gone", updated_at=func.now())
            .returning(EndpointRow.id)
        )
        _fail(session, parcel, report, None)
        if disabled is not None:
            give_up_waiting(session, disabled)


def _fail(session: Session, parcel: ClaimedDelivery, report: Report, pause_seconds: float | None) -> None:
    dead = pause_seconds is None
    session.execute(
        update(DeliveryRow)
        .where(
            DeliveryRow.id == parcel.id,
            DeliveryRow.status == DeliveryStatus.PENDING,
            # Another worker claimed it after our lease expired: that worker's result counts.
            DeliveryRow.attempts == parcel.attempt,
        )
        .values(
            status=DeliveryStatus.DEAD if dead else DeliveryStatus.PENDING,
            failures=parcel.failures + 1,
            next_attempt_at=from_now(pause_seconds or 0.0),
            **_last(report),
        )
    )


def _last(report: Report) -> dict[str, Any]:
    # If its job was deleted in the meantime, a delivery stays without content.
    answer = case((DeliveryRow.payload.is_not(None), report.answer))
    return {"last_status": report.status, "answer": answer, "error": report.error}


def _is_due() -> ColumnElement[bool]:
    return (DeliveryRow.status == DeliveryStatus.PENDING) & (DeliveryRow.next_attempt_at <= func.now())
