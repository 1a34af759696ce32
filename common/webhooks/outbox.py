"""The outbox: what there is to tell is written in the transaction that changes the job.

So an event exists if, and only if, the change was committed. Sending it is another's work (`sending`), as
often as it takes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import case, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.job_states import Status
from common.leases import ago
from common.models import BatchRow, DeliveryRow, EndpointRow, JobRow
from common.telemetry import tracing
from common.time_limit import TimeLimit
from common.webhooks.delivery import DeliveryStatus
from common.webhooks.endpoint import lane_of
from common.webhooks.events import EVENT_OF, EventType, batch_data_of, data_of, wanted

EXPIRE_AT_A_TIME = 1000
ROWS_AT_A_TIME = 1000


@dataclass(frozen=True, slots=True)
class OwnUrl:
    """The receiver that a request names beside the endpoints, if it does, and for which events."""

    url: str | None
    events: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class EndedBatch:
    """A batch of which no job goes on by itself any more: how many are in which state, and who else is told."""

    row: BatchRow
    counts: Mapping[str, int]
    own: OwnUrl


def announce(session: Session, job_ids: Sequence[uuid.UUID]) -> None:
    """Write the deliveries that the present state of these jobs calls for, in the caller's transaction.

    Call it in every transaction that ends a job or commits a part; a queued job has no news. One row per
    endpoint of the job's tenant that wants the event, and one for the job's own URL.
    """
    jobs = session.execute(
        select(JobRow)
        .where(JobRow.id.in_(job_ids), JobRow.status != Status.QUEUED)
        .execution_options(populate_existing=True)
    ).scalars()
    told = list(jobs)
    if not told:
        return
    endpoints = _listening(session, {job.tenant for job in told})
    _write(session, [row for job in told for row in _rows(job, endpoints)])


def announce_batches(session: Session, batches: Sequence[EndedBatch]) -> None:
    """Write the deliveries that the end of these batches calls for, in the caller's transaction."""
    if not batches:
        return
    event = EventType.BATCH_COMPLETED
    endpoints = _listening(session, {batch.row.tenant for batch in batches})
    rows: list[dict[str, Any]] = []
    for batch in batches:
        payload = batch_data_of(batch.row, ids.shown(ids.BATCH, batch.row.id), batch.counts)
        common = {"tenant": batch.row.tenant, "event": event.value, "batch_id": batch.row.id, "payload": payload}
        rows += _addressed(event, common, endpoints, batch.own)
    _write(session, rows)


def _listening(session: Session, tenants: Iterable[str]) -> Sequence[EndpointRow]:
    """The lock keeps an endpoint from being deleted before we commit.

    Its deliveries would name nothing, and the job could not end.
    """
    return session.scalars(
        select(EndpointRow)
        .where(EndpointRow.enabled, EndpointRow.tenant.in_(tenants))
        .order_by(EndpointRow.id)
        .with_for_update(read=True, key_share=True)
    ).all()


def _rows(job: JobRow, endpoints: Sequence[EndpointRow]) -> list[dict[str, Any]]:
    event = EVENT_OF[Status(job.status)]
    payload = data_of(job, ids.shown(ids.JOB, job.id))
    common = {"tenant": job.tenant, "event": event.value, "job_id": job.id, "payload": payload}
    return _addressed(event, common, endpoints, OwnUrl(job.webhook_url, job.webhook_events))


def _addressed(
    event: EventType, common: Mapping[str, Any], endpoints: Sequence[EndpointRow], own: OwnUrl
) -> list[dict[str, Any]]:
    """A row for each receiver that wants the event."""
    common = {**common, "traceparent": tracing.current()}
    rows = [
        {**common, "id": ids.new_id(), "endpoint_id": endpoint.id, "url": None, "lane": lane_of(endpoint.id)}
        for endpoint in endpoints
        if endpoint.tenant == common["tenant"] and wanted(event, endpoint.events)
    ]
    if own.url is not None and wanted(event, own.events):
        lane = urlsplit(own.url).netloc.lower()
        rows.append({**common, "id": ids.new_id(), "endpoint_id": None, "url": own.url, "lane": lane})
    return rows


def _write(session: Session, rows: Sequence[Mapping[str, Any]]) -> None:
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        session.execute(insert(DeliveryRow), rows[start : start + ROWS_AT_A_TIME])


def forget_job(session: Session, job_id: uuid.UUID) -> None:
    """Wipe what deliveries say of a job, before it is deleted; that they were made stays in the log."""
    pending = DeliveryRow.status == DeliveryStatus.PENDING
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.job_id == job_id)
        .values(
            job_id=None,
            payload=None,
            traceparent=None,
            url=None,
            lane="",
            answer=None,
            status=case((pending, DeliveryStatus.DEAD.value), else_=DeliveryRow.status),
            error=case((pending, "job_deleted"), else_=DeliveryRow.error),
        )
    )


def expire_deliveries(database: Database, limit: TimeLimit, *, after_seconds: float) -> int:
    """Delete the log of deliveries that are that old and will not be tried again; returns how many."""
    old = (
        select(DeliveryRow.id)
        .where(
            DeliveryRow.created_at < ago(after_seconds),
            DeliveryRow.status != DeliveryStatus.PENDING,
        )
        .order_by(DeliveryRow.created_at)
        .limit(EXPIRE_AT_A_TIME)
        .with_for_update(skip_locked=True)
    )
    statement = delete(DeliveryRow).where(DeliveryRow.id.in_(old.scalar_subquery())).returning(DeliveryRow.id)

    def some() -> int:
        with database.transaction() as session:
            return len(session.scalars(statement).all())

    return limit.until_done(some)
