"""How a worker's attempt ends: one transaction each, naming the lease token (see `common.jobs.lifecycle.attempts`)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, func, update
from sqlalchemy.orm import Session

from common.db import Database
from common.job_states import Outcome, Status
from common.jobs.lifecycle.attempts import Claim, append_part, change, found_columns
from common.jobs.lifecycle.finalize import ended
from common.leases import from_now
from common.models import AttemptRow, JobRow
from common.transcript.values import Part


@dataclass(frozen=True, slots=True)
class Finished:
    """What a completed attempt says of its run."""

    model: str
    revision: str
    precision: str
    channels: int
    audio_ms: int
    processing_ms: int
    no_speech: bool


def complete(
    database: Database,
    held: Claim,
    last: Part,
    finished: Finished,
    *,
    first_sentence: int,
    stage_ms: Mapping[str, int],
) -> None:
    """processing → completed, together with the last part: a job is never half finished."""
    with database.transaction() as session:
        change(
            session,
            held,
            **_end(Status.COMPLETED),
            audio_ms=finished.audio_ms,
            processed_ms=finished.audio_ms,
            result_model=finished.model,
            result_revision=finished.revision,
            result_precision=finished.precision,
            result_channels=finished.channels,
            no_speech=finished.no_speech,
            processing_ms=finished.processing_ms,
            **found_columns(last.recording),
            error_code=None,
            error_message=None,
            error_retryable=None,
        )
        append_part(session, held, last, first_sentence)
        end_attempt(session, held, Outcome.COMPLETED, stage_ms=stage_ms)


def fail(
    database: Database, held: Claim, *, code: str, message: str, retryable: bool, stage_ms: Mapping[str, int]
) -> None:
    """processing → failed."""
    with database.transaction() as session:
        change(
            session,
            held,
            **_end(Status.FAILED),
            failures=JobRow.failures + 1,
            error_code=code,
            error_message=message,
            error_retryable=retryable,
        )
        end_attempt(session, held, Outcome.FAILED, code=code, message=message, stage_ms=stage_ms)


def try_again(
    database: Database,
    held: Claim,
    *,
    code: str,
    message: str,
    pause_seconds: float,
    stage_ms: Mapping[str, int],
    outage: bool = False,
) -> None:
    """processing → queued after a transient error, not to be claimed before the pause is over.

    `outage`: what the service stands on is to blame, which is counted apart.
    """
    with database.transaction() as session:
        not_before = from_now(pause_seconds)
        counted = {"outages": JobRow.outages + 1} if outage else {"failures": JobRow.failures + 1}
        change(session, held, **waiting(), **counted, not_before=not_before)
        end_attempt(session, held, Outcome.RETRYING, code=code, message=message, stage_ms=stage_ms)


def release(database: Database, held: Claim, *, stage_ms: Mapping[str, int]) -> None:
    """processing → queued, because the worker shuts down. No failed attempt."""
    with database.transaction() as session:
        change(session, held, **waiting())
        end_attempt(session, held, Outcome.RELEASED, stage_ms=stage_ms)


def abandon_claim(database: Database, job_id: uuid.UUID, token: uuid.UUID) -> None:
    """processing → queued, where the answer to a claim got lost: as if it had not been, if it was.

    Else the job would wait for the end of its lease, and that would count as a crash of the worker.
    """
    with database.transaction() as session:
        undone = update(JobRow).where(JobRow.id == job_id, JobRow.lease_token == token)
        if session.scalar(undone.values(**waiting(), attempts=JobRow.attempts - 1).returning(JobRow.id)) is not None:
            session.execute(delete(AttemptRow).where(AttemptRow.job_id == job_id, AttemptRow.token == token))
            ended(session, [job_id])


def stop_canceled(database: Database, held: Claim, *, stage_ms: Mapping[str, int]) -> None:
    """processing → canceled, as the client asked."""
    with database.transaction() as session:
        change(session, held, **_end(Status.CANCELED))
        end_attempt(session, held, Outcome.CANCELED, stage_ms=stage_ms)


NO_LEASE: dict[str, Any] = {
    "stage": None,
    "lease_token": None,
    "lease_worker": None,
    "lease_expires_at": None,
    "isolated": False,
}


def _end(status: Status) -> dict[str, Any]:
    return {**NO_LEASE, "status": status, "finished_at": func.now()}


def waiting() -> dict[str, Any]:
    """Queued again, unless the client asked to cancel and the worker had not heard of it: nobody would claim it."""
    canceled = JobRow.cancel_requested
    return {
        **NO_LEASE,
        "status": case((canceled, Status.CANCELED.value), else_=Status.QUEUED.value),
        "finished_at": case((canceled, func.now())),
        "dispatched_at": None,
    }


def end_attempt(
    session: Session,
    held: Claim,
    outcome: Outcome,
    *,
    stage_ms: Mapping[str, int],
    code: str | None = None,
    message: str | None = None,
) -> None:
    """Close the attempt's row and, where the run is over too, book it and tell of it, in the same transaction."""
    session.execute(
        update(AttemptRow)
        .where(AttemptRow.job_id == held.job.id, AttemptRow.token == held.token)
        .values(
            ended_at=func.now(),
            outcome=outcome,
            error_code=code,
            error_message=message,
            stage_ms=dict(stage_ms),
        )
    )
    ended(session, [held.job.id])
