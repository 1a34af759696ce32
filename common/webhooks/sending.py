"""What a light worker does with the outbox: see what is due, take it, record what became of it.

A delivery that was taken is due again when its lease ends: a worker that dies between sending and recording has
it sent once more, under the same id. Times come from PostgreSQL's clock.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, case, func, or_, select, update
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.leases import ago, from_now
from common.models import DeliveryRow, EndpointRow
from common.webhooks.delivery import DeliveryStatus
from common.webhooks.endpoint import give_up_waiting

# How far behind a lane with many due deliveries one look goes; the next one leaves that lane out.
LOOK_AHEAD = 1000


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery that waits to be sent, its tenant, and the lane it shares with others to the same receiver."""

    id: uuid.UUID
    lane: str
    tenant: str


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery to send: taken for the time of the lease. `failures` counts those of its present plan of tries.

    `sealed_secrets` are those of a registered endpoint, the newest first; empty for a job's own URL. `traceparent` is
    of the work that brought the event.
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
        """The `webhook-id`: the same at every try."""
        return ids.shown(ids.DELIVERY, self.id)


@dataclass(frozen=True, slots=True)
class Report:
    """How a try went: the HTTP status, if there was an answer, its first bytes, and why it did not succeed."""

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
    """What nobody sends although it is due for so long, by lane; the longest first."""
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
    """Whether something waits to be sent."""
    with database.transaction() as session:
        return session.scalar(select(DeliveryRow.id).where(_is_due()).limit(1)) is not None


def due(
    database: Database,
    *,
    full: Collection[str],
    per_lane: int,
    full_tenants: Collection[str] = (),
    trusted: Collection[str] = (),
) -> list[Due]:
    """Deliveries to send next, oldest first, at most so many per lane; none of the lanes that are full.

    Of the tenants that are full, those of trusted lanes only.
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
    """Take those that are still due, in one conditional UPDATE; another worker has the others.

    Those of an endpoint that is disabled by now are given up and not returned.
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
        asked = {row.endpoint_id for row in rows if row.endpoint_id is not None}
        endpoints = {row.id: row for row in session.scalars(select(EndpointRow).where(EndpointRow.id.in_(asked)))}
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
    """It arrived. That holds whoever else has taken the delivery meanwhile."""
    with database.transaction() as session:
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.id == parcel.id, DeliveryRow.status != DeliveryStatus.DELIVERED)
            .values(status=DeliveryStatus.DELIVERED, delivered_at=func.now(), failures=0, **_last(report))
        )


def record_failed(database: Database, parcel: ClaimedDelivery, report: Report, *, pause_seconds: float | None) -> None:
    """It did not arrive: try again after the pause, or, with None, never."""
    with database.transaction() as session:
        _fail(session, parcel, report, pause_seconds)


def record_gone(database: Database, parcel: ClaimedDelivery, report: Report) -> None:
    """The receiver wants nothing any more: disable its endpoint, and give up what waits for it."""
    with database.transaction() as session:
        # The endpoint first, as everybody does who locks both.
        endpoint_id = session.scalar(select(DeliveryRow.endpoint_id).where(DeliveryRow.id == parcel.id))
        disabled = session.scalar(
            update(EndpointRow)
            # Under another URL it is another receiver, who said nothing yet.
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
            # Somebody took it after our lease ended: what they find counts.
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
    # A delivery whose job was deleted meanwhile stays without content.
    answer = case((DeliveryRow.payload.is_not(None), report.answer))
    return {"last_status": report.status, "answer": answer, "error": report.error}


def _is_due() -> ColumnElement[bool]:
    return (DeliveryRow.status == DeliveryStatus.PENDING) & (DeliveryRow.next_attempt_at <= func.now())
