"""Frozen values that represent job rows outside `common.jobs`."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from datetime import datetime
from operator import attrgetter
from typing import Any, cast

from sqlalchemy import Row, Table

from common import ids
from common.job_states import TERMINAL, Stage, Status
from common.models import JobRow
from common.options.transcription import TranscriptionOptions, options_of
from common.transcript.recording import NOTHING_KNOWN, Recording, tracks_of, warnings_of

# For statements of hot paths, which are built once.
JOBS = cast(Table, JobRow.__table__)
# The columns of `Job`, in the order of its fields.
_OWN = (
    *("id", "created_at", "tenant", "key_id", "status", "stage", "model", "channels", "audio_track"),
    *("options", "priority", "tags", "name"),
    *("webhook_url", "batch_id", "dedupe", "deduplicated_from"),
)
_SOURCE = ("source_kind", "source_url", "source_name", "audio_key", "audio_bytes", "audio_sha256", "audio_deleted_at")
_PROGRESS = (
    *("declared_ms", "processed_ms", "audio_ms", "run", "attempts", "not_before", "started_at", "finished_at"),
    "cancel_requested",
)
_FAILURE = ("error_code", "error_message", "error_retryable")
_RESULT = (
    *("result_model", "result_revision", "result_precision", "result_segmentation", "result_channels"),
    *("no_speech", "processing_ms", "result_deleted_at"),
)
_RECORDING = ("tracks", "warnings")
_NAMES = (*_OWN, *_SOURCE, *_PROGRESS, *_FAILURE, *_RESULT, *_RECORDING)
# The columns that a SELECT or RETURNING must list for `job_shown`.
SHOWN = tuple(JOBS.c[name] for name in _NAMES)


@dataclass(frozen=True, slots=True)
class JobFailure:
    """Why a job failed, as shown to the client."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Source:
    """The origin of the audio and, once it is stored, its storage key."""

    kind: str
    url: str | None
    name: str | None
    audio_key: str | None
    audio_bytes: int | None
    audio_sha256: str | None
    audio_deleted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of a completed job, and what it ran on."""

    model: str
    revision: str
    precision: str
    segmentation: str | None
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
    audio_track: str
    options: TranscriptionOptions
    priority: int
    tags: tuple[str, ...]
    name: str | None
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
    recording: Recording

    @property
    def public_id(self) -> str:
        """The public id of the job."""
        return ids.shown(ids.JOB, self.id)

    @property
    def shown_name(self) -> str | None:
        """The name that a person gave the job, else that of its audio."""
        return self.name or self.source.name

    @property
    def stem(self) -> str:
        """The name of its files without their ending: the shown name, without the ending of the audio; else the id."""
        _, dot, ending = (self.source.name or "").rpartition(".")
        name = self.shown_name or self.public_id
        return (name.removesuffix(f"{dot}{ending}") if dot else name) or name

    @property
    def terminal(self) -> bool:
        """Whether the state is terminal."""
        return self.status in TERMINAL

    @property
    def progress(self) -> float | None:
        """Audio processed / total audio, 0 to 1; None while the total is unknown.

        A declared duration may be wrong: once a job has processed more than that, its total is unknown again.
        """
        if self.status is Status.COMPLETED:
            return 1.0
        total = self.audio_ms or self.declared_ms
        if not total or self.processed_ms > total:
            return None
        return round(self.processed_ms / total, 4)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of a worker to process a job."""

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
    """Convert a row that has all columns."""
    return _job(_values(row))


def job_shown(row: Row[Any] | tuple[Any, ...]) -> Job:
    """Convert a row of exactly `SHOWN`; four times as fast, since SQLAlchemy looks up each column of a row by name."""
    return _job(tuple(row))


_values = attrgetter(*_NAMES)


def _job(values: tuple[Any, ...]) -> Job:
    own, values = values[: len(_OWN)], values[len(_OWN) :]
    source, values = values[: len(_SOURCE)], values[len(_SOURCE) :]
    progress, values = values[: len(_PROGRESS)], values[len(_PROGRESS) :]
    failure, (*result, result_deleted_at, tracks, warnings) = values[: len(_FAILURE)], values[len(_FAILURE) :]
    first, (status, stage, model, channels, audio_track, options, priority, tags, *others) = own[:4], own[4:]
    fields = [
        *first,
        Status(status),
        Stage(stage) if stage else None,
        *(model, channels, audio_track, options_of(options), priority, tuple(tags), *others),
        Source(*source),
        *progress,
        _failure_of(*failure),
        _result_of(*result) if status == Status.COMPLETED else None,
        result_deleted_at,
        Recording(tracks_of(tracks), warnings_of(warnings)) if tracks or warnings else NOTHING_KNOWN,
    ]
    return Job(*fields)


def _failure_of(code: str | None, message: str | None, retryable: bool | None) -> JobFailure | None:
    return JobFailure(code, message or "", bool(retryable)) if code is not None else None


def _result_of(
    model: str | None,
    revision: str | None,
    precision: str | None,
    segmentation: str | None,
    channels: int | None,
    no_speech: bool | None,
    processing_ms: int | None,
) -> Result | None:
    if model is None:
        return None
    silent = bool(no_speech)
    return Result(model, revision or "", precision or "", segmentation, channels or 1, silent, processing_ms or 0)


ATTEMPT_COLUMNS = tuple(field.name for field in fields(Attempt))


def attempt_of(row: tuple[Any, ...]) -> Attempt:
    """Convert a row of exactly `ATTEMPT_COLUMNS`."""
    values = (*row[:-1], row[-1] or {})
    return Attempt(*values)
