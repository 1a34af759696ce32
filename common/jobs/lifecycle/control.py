"""Operations of a client on its jobs after submission: cancel, retry, delete.

With `tenant`, a job of another tenant is treated as missing.
"""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import ColumnElement, Update, case, delete, func, select, update
from sqlalchemy.orm import Session

from common import audio_keys, ids, summaries, uploads, webhooks
from common.db import Database
from common.errors import Expired, WrongState
from common.job_states import Status, sources_of
from common.jobs.accounting.quota import NO_QUOTA, Quota, check
from common.jobs.job import Job, job_of
from common.jobs.lifecycle.batch_end import held_batches, tell_ends
from common.jobs.lifecycle.finalize import book, ended
from common.models import JobRow
from common.storage import Storage
from common.telemetry import bound, tracing

# A link can be fetched again, unless its query was deleted with the result; an upload cannot be restored after its
# audio was deleted.
HAS_AUDIO = JobRow.audio_key.is_not(None) | (
    JobRow.source_url.is_not(None) & (JobRow.result_deleted_at.is_(None) | JobRow.source_url.not_like("%?"))
)


def cancel(database: Database, job_id: uuid.UUID, *, tenant: str | None = None) -> Job:
    """End a queued job at once; ask the worker of a processing job to stop. Idempotent.

    Raises NotFound; WrongState if the job has completed or failed.
    """
    waits = JobRow.status == Status.QUEUED
    # One statement for both: between two of them a worker may claim the job, or give it back.
    statement = (
        update(JobRow)
        .where(_is(job_id, tenant), JobRow.status.in_((Status.QUEUED, Status.PROCESSING)))
        .values(
            status=case((waits, Status.CANCELED.value), else_=JobRow.status),
            finished_at=case((waits, func.now())),
            cancel_requested=True,
            dispatched_at=None,
        )
    )
    with database.transaction() as session:
        row = _changed(session, statement)
        if row is None:
            row = _existing(session, job_id, tenant)
            if row.status != Status.CANCELED:
                raise WrongState(f"the job is {row.status}; only a queued or processing job can be canceled")
        elif row.status == Status.CANCELED:
            ended(session, [job_id])
        return job_of(row)


def retry(database: Database, job_id: uuid.UUID, *, tenant: str | None = None) -> Job:
    """Call `retry_in` in a transaction of its own, for an operator without a quota."""
    with database.transaction() as session:
        return retry_in(session, job_id, tenant=tenant)


def retry_in(
    session: Session,
    job_id: uuid.UUID,
    *,
    tenant: str | None = None,
    key_id: uuid.UUID | None = None,
    quota: Quota = NO_QUOTA,
    take_over: bool = True,
    max_priority: int | None = None,
) -> Job:
    """Start a new run of a failed or canceled job, within the caller's transaction.

    The job's priority is lowered to `max_priority`, the highest that the requesting key may ask for, if given.

    With `take_over` the job belongs to the requesting key from then on and counts for it; without it, the job stays
    with its key, and only the tenant's quota limits such retries. Raises NotFound; WrongState in any other state;
    Expired if the audio of an upload, or the query of a link, was already deleted; QuotaExceeded as for a submission.
    """
    again = (
        update(JobRow)
        .where(
            _is(job_id, tenant),
            JobRow.status.in_(sources_of(Status.QUEUED, retry=True)),
            HAS_AUDIO,
        )
        .values(
            **_new_run(),
            priority=JobRow.priority if max_priority is None else func.least(JobRow.priority, max_priority),
            key_id=key_id if take_over and key_id is not None else JobRow.key_id,
        )
    )
    row = _changed(session, again)
    if row is None:
        row = _existing(session, job_id, tenant)
        if Status(row.status) in sources_of(Status.QUEUED, retry=True):
            raise Expired("the audio of this job was deleted; submit it again")
        raise WrongState(f"the job is {row.status}; only a failed or canceled job can be retried")
    summaries.waits_again(session, job_id)
    check(session, row.tenant, key_id, quota, adding=0)  # the job waits already, in this transaction
    return job_of(row)


def _new_run() -> dict[str, Any]:
    """Return the columns of a job as they are at the start of its next run."""
    return {
        "status": Status.QUEUED,
        "run": JobRow.run + 1,
        "attempts": 0,
        "failures": 0,
        "outages": 0,
        "crashes": 0,
        "isolated_crashes": 0,
        "processed_ms": 0,
        "tracks": [],
        "warnings": [],
        "cancel_requested": False,
        "not_before": func.now(),
        "dispatched_at": None,
        "request_id": bound("request_id"),
        "traceparent": tracing.current(),
        "started_at": None,
        "finished_at": None,
        "audio_deleted_at": None,
        "result_deleted_at": None,
        "error_code": None,
        "error_message": None,
        "error_retryable": None,
    }


def delete_job(database: Database, storage: Storage, job_id: uuid.UUID, *, tenant: str | None = None) -> None:
    """Delete a job completely: first its rows, so that no reader finds half of it, then its audio.

    Its webhook deliveries remain without their content; unsent ones become dead. Its usage remains. Raises NotFound;
    WrongState while a worker holds the job. Audio that cannot be deleted because the storage is unavailable is deleted
    by the sweep as an orphan.
    """
    with database.transaction() as session:
        held = select(JobRow.status).where(_is(job_id, tenant), JobRow.status != Status.PROCESSING)
        status = session.scalar(held.with_for_update())
        if status is None:
            _existing(session, job_id, tenant)
            raise WrongState("the job is processing; cancel it first")
        if status == Status.QUEUED:  # its run ends here, and may have done some of its work
            session.execute(update(JobRow).where(JobRow.id == job_id).values(status=Status.CANCELED))
            book(session, [job_id])
        # Events of ended jobs were written when they ended; but deleting its last waiting job also ends a batch.
        batches = held_batches(session, webhooks.started(session, [job_id])) if status == Status.QUEUED else {}
        webhooks.forget_job(session, job_id)
        uploads.forget(session, job_id)
        session.execute(delete(JobRow).where(JobRow.id == job_id))
        tell_ends(session, batches)
    storage.delete_all(audio_keys.prefix(job_id))


def _changed(session: Session, statement: Update) -> JobRow | None:
    return session.scalars(statement.returning(JobRow)).one_or_none()


def _is(job_id: uuid.UUID, tenant: str | None) -> ColumnElement[bool]:
    """It is this job, and it belongs to the tenant, where one is named."""
    return JobRow.id == job_id if tenant is None else (JobRow.id == job_id) & (JobRow.tenant == tenant)


def _existing(session: Session, job_id: uuid.UUID, tenant: str | None) -> JobRow:
    row = session.scalars(select(JobRow).where(_is(job_id, tenant))).one_or_none()
    if row is None:
        raise ids.missing(ids.JOB, job_id)
    return row
