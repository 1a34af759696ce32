"""Request and response models; the OpenAPI document comes from here."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from api.http.urls import WebhookUrl, checked_link, without_query
from api.webhooks.schemas import Events
from common import ids
from common.job_states import Stage, Status
from common.jobs import Attempt, Estimate, Job
from common.transcript.recording import tracks_json, warnings_json

FAR_END = "1000+"
SCHEMES = {"http", "https", "s3", "oss"}
Tag = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]


def link_of(value: str) -> str:
    """A link to audio. ValueError, in words for the client, for one that cannot be fetched from."""
    checked_link(value, SCHEMES)
    parts = urlsplit(value)
    if parts.scheme in {"s3", "oss"} and not parts.path.strip("/"):
        raise ValueError("has no object key: use bucket/key")
    return parts.scheme + value[len(parts.scheme) :]  # in lower case, as everybody after us expects it


Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$", max_length=32)]


class Options(BaseModel):
    """What can be asked of a transcription, whichever way the audio comes."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="A model of `GET /v1/models`; unset: the default one.", max_length=100)
    language: Language | None = Field(
        None,
        description="The language of the recording, e.g. `zh` or `zh-CN`: refused if the model does not recognise it. "
        "Unset: whatever the model hears.",
    )
    channels: Literal["mix", "split", "auto"] = Field(
        "mix",
        description="`split` transcribes each channel by itself, for calls recorded on two channels; `auto` does so "
        "where the two channels carry different speakers, and mixes them elsewhere.",
    )
    audio_track: str = Field(
        "default",
        description="Which audio track of a file with several: `default` (the one marked so, else the first), an "
        "index from 0, a language (`zh`, `chi`, `eng`, …), or `all`, each as a channel.",
        pattern=r"^(default|all|[0-9]{1,2}|[A-Za-z]{2,3}(-[A-Za-z]{2,4})?)$",
        examples=["default", "1", "zh", "all"],
    )
    priority: int = Field(5, ge=0, le=9, description="9 runs first.")
    tags: list[Tag] = Field(default_factory=list, max_length=20, description="For finding and counting jobs.")
    dedupe: bool = Field(
        False,
        description="Take an earlier transcript of the same audio, made with the same model and options, if there is "
        "one: an upload is answered with the earlier transcription, a link's transcription gets a copy.",
    )
    webhook_url: WebhookUrl | None = Field(None, description="Is told, signed, when the transcription ends.")
    webhook_events: Events | None = Field(
        None, description="What `webhook_url` is told; unset: the end, however it ends, but no progress."
    )


class SubmitLink(Options):
    """A transcription of audio behind a link."""

    audio_url: str = Field(
        max_length=4096,
        description="`http://`, `https://`, `s3://bucket/key` or `oss://bucket/key`.",
        examples=["https://example.com/meeting.mp3"],
    )

    @field_validator("audio_url")
    @classmethod
    def _fetchable(cls, value: str) -> str:
        return link_of(value)


class SubmitLinks(Options):
    """Up to 100 transcriptions at once, all with the same options."""

    audio_urls: list[Annotated[str, StringConstraints(max_length=4096)]] = Field(
        min_length=1, max_length=100, description="Links as in `audio_url`. Bad ones do not keep the others out."
    )


class SubmitUpload(Options):
    """A transcription of an upload that is complete (see `/v1/uploads`)."""

    upload_id: str = Field(max_length=64, description="Of an upload that is complete. One upload, one transcription.")


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
    """Where to go on."""

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
    heard: bool = Field(description="Whether it was transcribed.")


class AttemptOut(BaseModel):
    """One try of a worker at the job."""

    run: int
    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None
    outcome: str | None = Field(description="Null while it runs.")
    error_code: str | None
    resumed_ms: int | None = Field(description="Audio that earlier attempts had done already.")
    stage_ms: dict[str, int] = Field(description="Milliseconds spent in each stage.")


class ResultOut(BaseModel):
    """What a completed job came to."""

    model: str
    model_revision: str
    precision: str
    channels: int
    no_speech: bool = Field(description="True where no speech was found; the transcript is then empty.")
    processing_ms: int
    rtf: float | None = Field(description="Processing time / audio time.")


class Transcription(BaseModel):
    """A job, as clients see it."""

    id: str
    object: Literal["transcription"] = "transcription"
    status: Status
    stage: Stage | None = Field(description="What a processing job is doing.")
    progress: float | None = Field(description="Audio done / audio total, 0 to 1; null while the total is unknown.")
    queue_position: int | Literal["1000+"] | None = Field(
        description="An estimate, 1 for who is next; null for a job that is not waiting for a worker."
    )
    eta_seconds: int | None = Field(
        description="An estimate of the time until it is done, from measured speed; null where nothing was measured."
    )
    model: str
    channels: str
    audio_track: str
    priority: int
    tags: list[str]
    webhook_url: str | None = Field(description="Without its query, which may hold a token.")
    batch_id: str | None = Field(description="The batch that it was submitted with.")
    deduplicated_from: str | None = Field(description="The transcription whose transcript was taken, see `dedupe`.")
    source: Source
    audio_ms: int | None = Field(description="Length of the audio; known when all of it was read.")
    processed_ms: int
    run: int = Field(description="Goes up with each retry.")
    attempt: int = Field(description="How often a worker took this run up.")
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: Failure | None
    result: ResultOut | None
    warnings: list[WarningOut] = Field(
        description="Sound that is missing, cut, or was not heard; complete when the job has ended."
    )
    tracks: list[TrackOut] = Field(description="The audio tracks of the file, once they are known.")
    links: Links


class TranscriptionDetail(Transcription):
    """A job with its history."""

    attempts: list[AttemptOut]


class TranscriptionPage(BaseModel):
    """Some jobs, newest first."""

    data: list[Transcription]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end.")


class ModelOut(BaseModel):
    """A model that can be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int = Field(description="Since when it is served, as Unix time; 0 where no live worker serves it.")
    owned_by: str = "paraqueue"
    default: bool
    workers: int = Field(description="Live workers that serve it.")
    slots: int = Field(description="Jobs they run at the same time.")
    revisions: list[str]
    devices: list[str]
    description: str
    licence: str
    languages: list[str] = Field(description="ISO 639 codes; empty where no worker has told them yet.")
    word_times: bool = Field(description="Whether every word has a time.")
    speakers: bool = Field(description="Whether it tells speakers apart.")
    hotwords: bool = Field(description="Whether it takes hotwords.")


class ModelList(BaseModel):
    """The models of this installation."""

    object: Literal["list"] = "list"
    data: list[ModelOut]


def transcription_of(job: Job, base_url: str, estimate: Estimate) -> Transcription:
    """A job as clients see it."""
    return Transcription.model_validate(_fields(job, base_url, estimate))


def detail_of(job: Job, attempts: list[Attempt], base_url: str, estimate: Estimate) -> TranscriptionDetail:
    """A job with its history."""
    history = [
        {name: getattr(item, name) for name in AttemptOut.model_fields if hasattr(item, name)} for item in attempts
    ]
    return TranscriptionDetail.model_validate({**_fields(job, base_url, estimate), "attempts": history})


def _fields(job: Job, base_url: str, estimate: Estimate) -> dict[str, object]:
    here = f"{base_url}/v1/transcriptions/{job.public_id}"
    return {
        "id": job.public_id,
        "status": job.status,
        "stage": job.stage,
        "progress": job.progress,
        "queue_position": FAR_END if estimate.far else estimate.position,
        "eta_seconds": estimate.eta_seconds,
        "model": job.model,
        "channels": job.channels,
        "audio_track": job.audio_track,
        "priority": job.priority,
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
        "channels": result.channels,
        "no_speech": result.no_speech,
        "processing_ms": result.processing_ms,
        "rtf": round(result.processing_ms / job.audio_ms, 5) if job.audio_ms else None,
    }
