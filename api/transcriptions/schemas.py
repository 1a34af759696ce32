"""Transcriptions as the API shows them: the job, its history, pages of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field
from pydantic_core import to_json

from api.http.urls import without_query
from common import ids
from common.job_states import Stage, Status
from common.jobs import Attempt, Estimate, Estimates, Expiry, Job, Page
from common.options.transcription import TranscriptionOptions
from common.transcript.recording import tracks_json, warnings_json

FAR_END = "1000+"


class Source(BaseModel):
    """Where the audio came from. A link is shown without its query, which may hold a signature."""

    kind: str
    url: str | None
    name: str | None
    bytes: int | None
    sha256: str | None


class Failure(BaseModel):
    """Why a job failed."""

    code: str
    message: str
    retryable: bool


class Links(BaseModel):
    """Links to related resources."""

    self: str
    transcript: str


class WarningOut(BaseModel):
    """Something that a reader of the transcript must know; the times are null where it concerns all of the audio."""

    code: str
    message: str
    start_ms: int | None
    end_ms: int | None


class TrackOut(BaseModel):
    """An audio track of the file."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    language: str | None
    title: str | None
    default: bool
    transcribed: bool = Field(description="Whether it was transcribed.")


class AttemptOut(BaseModel):
    """One attempt of a worker at the job."""

    run: int
    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None = Field(description="Null while the attempt is running.")
    error_code: str | None
    resumed_ms: int | None = Field(description="Audio already transcribed by earlier attempts.")
    stage_ms: dict[str, int] = Field(description="Milliseconds spent in each stage.")


ATTEMPT_FIELDS = tuple(AttemptOut.model_fields)


class ResultOut(BaseModel):
    """The result of a completed job."""

    model: str
    model_revision: str
    precision: str
    segmentation: str | None = Field(
        description="How speech was divided; null where an earlier version did not record it."
    )
    channels: int
    no_speech: bool = Field(description="True if no speech was found; the transcript is then empty.")
    processing_ms: int
    rtf: float | None = Field(description="Processing time divided by audio duration.")


class Transcription(BaseModel):
    """A job, as clients see it."""

    id: str
    object: Literal["transcription"] = "transcription"
    status: Status
    stage: Stage | None = Field(description="Current stage of a processing job.")
    progress: float | None = Field(
        description="Transcribed share of the audio, 0 to 1; null while the duration is unknown."
    )
    queue_position: int | Literal["1000+"] | None = Field(
        description="Estimated position in the queue, starting at 1; null if the job is not waiting for a worker."
    )
    eta_seconds: int | None = Field(
        description="Estimated seconds until the job is done, from measured speed; null if no speed was measured yet."
    )
    model: str
    channels: str
    audio_track: str
    speakers: bool = Field(description="Whether speaker diarization is enabled.")
    min_speakers: int | None
    max_speakers: int | None
    itn: bool
    remove_fillers: bool
    masked_words: list[str]
    hotwords: list[str]
    vocabulary_id: str | None = Field(
        description="The vocabulary whose words were added as they were at that time; it may be changed or gone by now."
    )
    script: str | None
    segmentation: str | None = Field(description="As requested; null: the model's default.")
    priority: int
    name: str | None = Field(description="The name given by `PATCH`, else `source.name`.")
    tags: list[str]
    webhook_url: str | None = Field(description="Without its query, which may contain a token.")
    batch_id: str | None = Field(description="The batch in which the transcription was submitted.")
    deduplicated_from: str | None = Field(description="The transcription whose transcript was reused, see `dedupe`.")
    source: Source
    audio_ms: int | None = Field(description="Duration of the audio; null until all of it was read.")
    processed_ms: int
    run: int = Field(description="Incremented by each retry.")
    attempt: int = Field(description="Number of attempts in this run.")
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: Failure | None
    result: ResultOut | None
    warnings: list[WarningOut] = Field(
        description="Audio that is missing, cut off or was not transcribed; complete when the job has ended."
    )
    tracks: list[TrackOut] = Field(description="Audio tracks of the file; empty until they are known.")
    links: Links


class TranscriptionDetail(Transcription):
    """A job with its history and its end."""

    attempts: list[AttemptOut]
    audio_expires_at: datetime | None = Field(description="When the audio is deleted; null until the job has ended.")
    audio_deleted_at: datetime | None = Field(description="When the audio was deleted at the end of its retention.")
    transcript_expires_at: datetime | None = Field(
        description="When the transcript is deleted; null until the job has ended."
    )
    transcript_deleted_at: datetime | None = Field(
        description="When the transcript was deleted at the end of its retention."
    )
    expires_at: datetime | None = Field(description="When the rest is deleted; null until the job has ended.")
    summary: Status | None = Field(description="State of the summary, if one was requested and summaries are on.")


class ListedTranscription(Transcription):
    """A job in a list."""

    preview: str | None = Field(description="The beginning of the transcript; null unless asked for by `preview=true`.")


class TranscriptionPage(BaseModel):
    """Some jobs, in the order that was asked for."""

    data: list[ListedTranscription]
    next: str | None = Field(description="Value of `after` for the next page; null on the last page.")


def transcription_of(job: Job, base_url: str, estimate: Estimate) -> Transcription:
    """Convert a job to its API representation."""
    return Transcription.model_validate(_fields(job, base_url, estimate))


def page_json(page: Page, base_url: str, estimates: Estimates) -> bytes:
    """Return a `TranscriptionPage` as JSON. For the busiest calls: without a model, whose checks take most of the time.

    The tests compare this and `detail_json` with the models.
    """
    previews = page.previews or {}
    shown = [{**_fields(job, base_url, estimates.of(job)), "preview": previews.get(job.id)} for job in page.jobs]
    return to_json({"data": shown, "next": page.next_cursor})


def transcription_json(job: Job, base_url: str, estimate: Estimate) -> tuple[bytes, str]:
    """Return a `Transcription` as JSON, and its URL."""
    fields = _fields(job, base_url, estimate)
    return to_json(fields), url_of(job, base_url)


def detail_json(
    job: Job,
    attempts: list[Attempt],
    base_url: str,
    estimate: Estimate,
    expiry: Expiry,
    summary: Status | None,
) -> bytes:
    """Return a `TranscriptionDetail` as JSON."""
    history = [{name: getattr(item, name) for name in ATTEMPT_FIELDS} for item in attempts]
    more = {
        "attempts": history,
        "audio_expires_at": expiry.audio_at,
        "audio_deleted_at": job.source.audio_deleted_at,
        "transcript_expires_at": expiry.transcript_at,
        "transcript_deleted_at": job.result_deleted_at,
        "expires_at": expiry.job_at,
        "summary": summary,
    }
    return to_json(_fields(job, base_url, estimate) | more)


def url_of(job: Job, base_url: str) -> str:
    """Return the URL of a transcription."""
    return f"{base_url}/v1/transcriptions/{job.public_id}"


def _fields(job: Job, base_url: str, estimate: Estimate) -> dict[str, object]:
    here = url_of(job, base_url)
    return {
        "id": job.public_id,
        "object": "transcription",
        "status": job.status,
        "stage": job.stage,
        "progress": job.progress,
        "queue_position": FAR_END if estimate.far else estimate.position,
        "eta_seconds": estimate.eta_seconds,
        "model": job.model,
        "channels": job.channels,
        "audio_track": job.audio_track,
        **_options(job.options),
        "priority": job.priority,
        "name": job.shown_name,
        "tags": list(job.tags),
        "webhook_url": without_query(job.webhook_url) if job.webhook_url else None,
        "batch_id": ids.shown(ids.BATCH, job.batch_id) if job.batch_id else None,
        "deduplicated_from": ids.shown(ids.JOB, job.deduplicated_from) if job.deduplicated_from else None,
        "source": {
            "kind": job.source.kind,
            "url": without_query(job.source.url) if job.source.url else None,
            "name": job.source.name,
            "bytes": job.source.audio_bytes,
            "sha256": job.source.audio_sha256,
        },
        "audio_ms": job.audio_ms,
        "processed_ms": job.processed_ms,
        "run": job.run,
        "attempt": job.attempts,
        "cancel_requested": job.cancel_requested,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "error": _failure(job),
        "result": _result(job),
        "warnings": warnings_json(job.recording.warnings),
        "tracks": tracks_json(job.recording.tracks),
        "links": {"self": here, "transcript": f"{here}/transcript"},
    }


def _options(options: TranscriptionOptions) -> dict[str, object]:
    return {
        "speakers": options.speakers,
        "min_speakers": options.min_speakers,
        "max_speakers": options.max_speakers,
        "itn": options.itn,
        "remove_fillers": options.remove_fillers,
        "masked_words": list(options.masked_words),
        "hotwords": list(options.hotwords),
        "vocabulary_id": options.vocabulary_id,
        "script": options.script,
        "segmentation": options.segmentation,
    }


def _failure(job: Job) -> dict[str, object] | None:
    if job.failure is None:
        return None
    return {"code": job.failure.code, "message": job.failure.message, "retryable": job.failure.retryable}


def _result(job: Job) -> dict[str, object] | None:
    result = job.result
    if result is None:
        return None
    return {
        "model": result.model,
        "model_revision": result.revision,
        "precision": result.precision,
        "segmentation": result.segmentation,
        "channels": result.channels,
        "no_speech": result.no_speech,
        "processing_ms": result.processing_ms,
        "rtf": round(result.processing_ms / job.audio_ms, 5) if job.audio_ms else None,
    }
