"""The frozen values that stand for rows outside of `common.jobs`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Row, Table

from common import ids
from common.job_states import TERMINAL, Stage, Status
from common.models import AttemptRow, JobRow

# For the statements of hot paths, which are built once.
JOBS = cast(Table, JobRow.__table__)


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job failed, as the client sees it."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where the audio comes from and, once it is ours, where its bytes lie."""

    kind: str
    url: str | None
    name: str | None
    audio_key: str | None
    audio_bytes: int | None
    audio_sha256: str | None


@dataclass(frozen=True, slots=True)
class Result:
    """What a completed job ran on and came to."""

    model: str
    revision: str
    precision: str
    channels: int
    no_speech: bool
    processing_ms: int


@dataclass(frozen=True, slots=True)
class Job:
    """One transcription request."""

    id: uuid.UUID
    created_at: datetime
    tenant: str
    key_id: uuid.UUID | None
    status: Status
    stage: Stage | None
    model: str
    channels: str
    priority: int
    tags: tuple[str, ...]
    webhook_url: str | None
    batch_id: uuid.UUID | None
    dedupe: bool
    deduplicated_from: uuid.UUID | None
    source: Source
    declared_ms: int | None
    processed_ms: int
    audio_ms: int | None
    run: int
    attempts: int
    not_before: datetime
    started_at: datetime | None
    finished_at: datetime | None
    cancel_requested: bool
    failure: JobFailure | None
    result: Result | None
    result_deleted_at: datetime | None

    @property
    def public_id(self) -> str:
        """The id as clients know it."""
        return ids.shown(ids.JOB, self.id)

    @property
    def terminal(self) -> bool:
        """Whether nothing happens to the job any more by itself."""
        return self.status in TERMINAL

    @property
    def progress(self) -> float | None:
        """Audio done / audio total, 0 to 1; None while the total is unknown.

        A declared length may be wrong: a job that passed it does not know its total any more.
        """
        if self.status is Status.COMPLETED:
            return 1.0
        total = self.audio_ms or self.declared_ms
        if not total or self.processed_ms > total:
            return None
        return round(self.processed_ms / total, 4)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a worker at a job."""

    run: int
    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None
    error_code: str | None
    error_message: str | None
    resumed_ms: int | None
    stage_ms: dict[str, int]


def job_of(row: JobRow | Row[Any]) -> Job:
    """The value of a row: of the ORM's, or of a plain SELECT on `JOBS`, which costs a third of the time."""
    return Job(
        id=row.id,
        created_at=row.created_at,
        tenant=row.tenant,
        key_id=row.key_id,
        status=Status(row.status),
        stage=Stage(row.stage) if row.stage else None,
        model=row.model,
        channels=row.channels,
        priority=row.priority,
        tags=tuple(row.tags),
        webhook_url=row.webhook_url,
        batch_id=row.batch_id,
        dedupe=row.dedupe,
        deduplicated_from=row.deduplicated_from,
        source=Source(
            row.source_kind, row.source_url, row.source_name, row.audio_key, row.audio_bytes, row.audio_sha256
        ),
        declared_ms=row.declared_ms,
        processed_ms=row.processed_ms,
        audio_ms=row.audio_ms,
        run=row.run,
        attempts=row.attempts,
        not_before=row.not_before,
        started_at=row.started_at,
        finished_at=row.finished_at,
        cancel_requested=row.cancel_requested,
        failure=_failure_of(row),
        result=_result_of(row),
        result_deleted_at=row.result_deleted_at,
    )


def _failure_of(row: JobRow | Row[Any]) -> JobFailure | None:
    if row.error_code is None:
        return None
    return JobFailure(row.error_code, row.error_message or "", bool(row.error_retryable))


def _result_of(row: JobRow | Row[Any]) -> Result | None:
    if row.status != Status.COMPLETED or row.result_model is None:
        return None
    return Result(
        model=row.result_model,
        revision=row.result_revision or "",
        precision=row.result_precision or "",
        channels=row.result_channels or 1,
        no_speech=bool(row.no_speech),
        processing_ms=row.processing_ms or 0,
    )


def attempt_of(row: AttemptRow | Row[Any]) -> Attempt:
    """The value of a row."""
    return Attempt(
        run=row.run,
        number=row.number,
        worker=row.worker,
        started_at=row.started_at,
        ended_at=row.ended_at,
        outcome=row.outcome,
        error_code=row.error_code,
        error_message=row.error_message,
        resumed_ms=row.resumed_ms,
        stage_ms=row.stage_ms or {},
    )
