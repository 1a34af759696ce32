"""The ways an attempt can end, one transaction each, conditional on the lease token (see `attempts`)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, func, update

from common.db import Database
from common.db.leases import from_now
from common.job_states import Outcome, Status
from common.jobs.lifecycle.attempts import append_part, change_and_end, found_columns
from common.jobs.lifecycle.claims import Claim
from common.jobs.lifecycle.finalize import ended
from common.jobs.lifecycle.speakers import Attributed, write_speakers
from common.models import AttemptRow, JobRow
from common.options.segmentation import FIXED, SegmentationName
from common.transcript.values import Part


@dataclass(frozen=True, slots=True)
class Finished:
    """What a completed attempt reports about its run."""

    model: str
    revision: str
    precision: str
    channels: int
    audio_ms: int
    processing_ms: int
    no_speech: bool
    segmentation: SegmentationName = FIXED


@dataclass(frozen=True, slots=True)
class FetchedAudio:
    """The copy of a link in storage; `name` is the file name that its server gave, if any."""

    key: str
    size: int
    sha256: str
    name: str | None = None


def complete(
    database: Database,
    held: Claim,
    last: Part,
    finished: Finished,
    *,
    first_sentence: int,
    stage_ms: Mapping[str, int],
    attributed: Attributed | None = None,
) -> None:
    """Change processing → completed together with the last part, so that a job is never half finished.

    `attributed` holds all sentences of the run with their speakers, for a job that tells speakers apart.
    """
    with database.transaction() as session:
        change_and_end(
            session,
            held,
            Outcome.COMPLETED,
            stage_ms=stage_ms,
            **_end(Status.COMPLETED),
            source_url=LINK_WITHOUT_QUERY,
            audio_ms=finished.audio_ms,
            processed_ms=finished.audio_ms,
            result_model=finished.model,
            result_revision=finished.revision,
            result_precision=finished.precision,
            result_segmentation=finished.segmentation,
            result_channels=finished.channels,
            no_speech=finished.no_speech,
            processing_ms=finished.processing_ms,
            **found_columns(last.recording),
            error_code=None,
            error_message=None,
            error_retryable=None,
        )
        append_part(session, held, last, first_sentence)
        if attributed is not None:
            write_speakers(session, held, attributed)
        ended(session, [held.job.id])


def fail(
    database: Database, held: Claim, *, code: str, message: str, retryable: bool, stage_ms: Mapping[str, int]
) -> None:
    """Change processing → failed."""
    with database.transaction() as session:
        change_and_end(
            session,
            held,
            Outcome.FAILED,
            code=code,
            message=message,
            stage_ms=stage_ms,
            **_end(Status.FAILED),
            failures=JobRow.failures + 1,
            error_code=code,
            error_message=message,
            error_retryable=retryable,
        )
        ended(session, [held.job.id])


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
    """Change processing → queued after a transient error; the job cannot be claimed before the backoff has passed.

    `outage`: the cause is a service that Paraqueue depends on; such attempts are counted separately.
    """
    with database.transaction() as session:
        not_before = from_now(pause_seconds)
        counted: dict[str, Any] = {"outages": JobRow.outages + 1} if outage else {"failures": JobRow.failures + 1}
        told: dict[str, Any] = {"code": code, "message": message, "stage_ms": stage_ms}
        change_and_end(session, held, Outcome.RETRYING, **told, **waiting(), **counted, not_before=not_before)
        ended(session, [held.job.id])


def release(database: Database, held: Claim, *, stage_ms: Mapping[str, int]) -> None:
    """Change processing → queued because the worker shuts down; not counted as a failed attempt."""
    with database.transaction() as session:
        change_and_end(session, held, Outcome.RELEASED, stage_ms=stage_ms, **waiting())
        ended(session, [held.job.id])


def hand_over(database: Database, held: Claim, audio: FetchedAudio, *, stage_ms: Mapping[str, int]) -> None:
    """Change processing → queued because the link is in storage: the job now waits for a slot, on any worker.

    The transcription is the second half of the same attempt, so its number does not change.
    """
    named = {"source_name": audio.name} if audio.name else {}
    with database.transaction() as session:
        change_and_end(
            session,
            held,
            Outcome.FETCHED,
            stage_ms=stage_ms,
            **waiting(),
            **named,
            audio_key=audio.key,
            audio_bytes=audio.size,
            audio_sha256=audio.sha256,
            attempts=JobRow.attempts - 1,
            failures=0,
            outages=0,
        )
        ended(session, [held.job.id])


def abandon_claim(database: Database, worker: str, token: uuid.UUID) -> None:
    """Undo a claim whose response was lost: if it was committed, change processing → queued as if it had not been.

    Otherwise the job would wait for its lease to expire, which would count as a crash of the worker.
    """
    with database.transaction() as session:
        undone = update(JobRow).where(
            JobRow.lease_worker == worker,  # found by index; the token decides
            JobRow.lease_token == token,
            JobRow.status == Status.PROCESSING,
        )
        undone = undone.values(**waiting(), attempts=JobRow.attempts - 1)
        job_id = session.scalar(undone.returning(JobRow.id))
        if job_id is not None:
            session.execute(delete(AttemptRow).where(AttemptRow.job_id == job_id, AttemptRow.token == token))
            ended(session, [job_id])


def stop_canceled(database: Database, held: Claim, *, stage_ms: Mapping[str, int]) -> None:
    """Change processing → canceled, as requested by the client."""
    with database.transaction() as session:
        change_and_end(session, held, Outcome.CANCELED, stage_ms=stage_ms, **_end(Status.CANCELED))
        ended(session, [held.job.id])


# A completed job is never fetched again: the signature of its link has no further use.
LINK_WITHOUT_QUERY = func.split_part(JobRow.source_url, "?", 1)
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
    """Return the columns for queueing a job again, or for canceling it if that was requested and not yet handled."""
    canceled = JobRow.cancel_requested
    return {
        **NO_LEASE,
        "status": case((canceled, Status.CANCELED.value), else_=Status.QUEUED.value),
        "finished_at": case((canceled, func.now())),
        "dispatched_at": None,
    }
