"""The outbox: webhook events are written in the transaction that changes the job.

So an event exists if and only if the change was committed. Sending it is the task of `sending`, with as many attempts
as needed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Row, Uuid, bindparam, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.db.leases import ago
from common.job_states import Status
from common.models import BatchRow, DeliveryRow, EndpointRow, JobRow
from common.telemetry import tracing
from common.time_limit import TimeLimit
from common.webhooks.delivery import DeliveryStatus
from common.webhooks.endpoint import lane_of
from common.webhooks.events import EVENT_OF, EventType, batch_data_of, data_of, summary_data_of, wanted

EXPIRE_AT_A_TIME = 1000
ROWS_AT_A_TIME = 1000
STARTED = select(
    *(JobRow.id, JobRow.tenant, JobRow.batch_id, JobRow.status, JobRow.run, JobRow.tags, JobRow.audio_ms),
    *(JobRow.processed_ms, JobRow.warnings, JobRow.error_code, JobRow.error_retryable),
    *(JobRow.webhook_url, JobRow.webhook_events),
).where(JobRow.id == func.any(bindparam("ids", type_=ARRAY(Uuid))), JobRow.status != Status.QUEUED)


@dataclass(frozen=True, slots=True)
class OwnUrl:
    """The receiver given in a request in addition to the endpoints, if any, and its events."""

    url: str | None
    events: Sequence[str] | None


@dataclass(frozen=True, slots=True)
class EndedBatch:
    """A batch whose jobs are all in a terminal state: the number of jobs per state, and the additional receiver."""

    row: BatchRow
    counts: Mapping[str, int]
    own: OwnUrl


@dataclass(frozen=True, slots=True)
class Subscriber:
    """What writing a delivery needs of an endpoint: never its secrets, which a worker may not read."""

    id: uuid.UUID
    tenant: str
    events: Sequence[str]


def started(session: Session, job_ids: Sequence[uuid.UUID]) -> Sequence[Row[Any]]:
    """Return what events say of those of these jobs that are not queued: a queued job has no event."""
    return session.execute(STARTED, {"ids": list(job_ids)}).all()


def announce(session: Session, jobs: Sequence[Row[Any]]) -> None:
    """Write the deliveries for the current state of these jobs (`started`) in the caller's transaction.

    Call it in every transaction that ends a job or commits a part. There is one row per subscribed endpoint of the
    job's tenant, and one for the job's own URL.
    """
    if jobs:
        endpoints = _listening(session, {job.tenant for job in jobs})
        _write(session, [row for job in jobs for row in _rows(job, endpoints)])


def announce_summary(session: Session, job_id: uuid.UUID, status: Status, error_code: str | None = None) -> None:
    """Write the deliveries for the end of a job's summary in the caller's transaction."""
    [job] = started(session, [job_id])
    event = EventType.SUMMARIZED
    payload = summary_data_of(job, ids.shown(ids.JOB, job_id), status, error_code)
    common = {"tenant": job.tenant, "event": event.value, "job_id": job_id, "payload": payload}
    own = OwnUrl(job.webhook_url, job.webhook_events)
    _write(session, _addressed(event, common, _listening(session, {job.tenant}), own))


def announce_batches(session: Session, batches: Sequence[EndedBatch]) -> None:
    """Write the deliveries for the end of these batches in the caller's transaction."""
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


def _listening(session: Session, tenants: Iterable[str]) -> list[Subscriber]:
    """Return the enabled endpoints of the tenants, locked so that none is deleted before the commit.

    Otherwise their deliveries would refer to nothing, and the job could not end.
    """
    rows = session.execute(
        select(EndpointRow.id, EndpointRow.tenant, EndpointRow.events)
        .where(EndpointRow.enabled, EndpointRow.tenant.in_(tenants))
        .order_by(EndpointRow.id)
        .with_for_update(read=True, key_share=True)
    )
    return [Subscriber(*row) for row in rows]


def _rows(job: Row[Any], endpoints: Sequence[Subscriber]) -> list[dict[str, Any]]:
    event = EVENT_OF[Status(job.status)]
    payload = data_of(job, ids.shown(ids.JOB, job.id))
    common = {"tenant": job.tenant, "event": event.value, "job_id": job.id, "payload": payload}
    return _addressed(event, common, endpoints, OwnUrl(job.webhook_url, job.webhook_events))


def _addressed(
    event: EventType, common: Mapping[str, Any], endpoints: Sequence[Subscriber], own: OwnUrl
) -> list[dict[str, Any]]:
    """Return a row for each receiver subscribed to the event."""
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
    """Wipe the content of a job's deliveries before the job is deleted; the log entries are kept."""
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
    """Delete log entries of that age that will not be retried; returns how many."""
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
