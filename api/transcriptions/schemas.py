"""Transcriptions as the API shows them: the job, its history, pages of jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from common.job_states import Stage, Status


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
    known_voices: bool = Field(description="Whether speakers may be compared with known voices.")
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
