"""What the service answers, as frozen values. Fields that a newer service adds are kept in `model_extra`."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

COMPLETED, FAILED, CANCELED = "completed", "failed", "canceled"
TERMINAL = frozenset({COMPLETED, FAILED, CANCELED})


class Value(BaseModel):
    """What all of them are."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class Source(Value):
    """Where the audio came from."""

    kind: str
    url: str | None = None
    name: str | None = None
    bytes: int | None = None
    sha256: str | None = None


class Failure(Value):
    """Why a transcription failed."""

    code: str
    message: str
    retryable: bool


class Result(Value):
    """What a completed transcription came to."""

    model: str
    model_revision: str
    precision: str
    channels: int
    no_speech: bool
    processing_ms: int
    rtf: float | None = None


class RecordingWarning(Value):
    """Something that a reader of the transcript must know; the times are None where it concerns all of the audio."""

    code: str
    message: str
    start_ms: int | None = None
    end_ms: int | None = None


class AudioTrack(Value):
    """An audio track of the file; `heard`: whether it was transcribed."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    language: str | None = None
    title: str | None = None
    default: bool = False
    heard: bool = False


class Attempt(Value):
    """One try of a worker."""

    run: int
    number: int
    worker: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str | None = None
    error_code: str | None = None


class Transcription(Value):
    """A job: what was asked for, how far it is, how it ended.

    `status` is queued, processing, completed, failed or canceled; `progress` is 0 to 1, None while the length of
    the audio is unknown; all `_ms` are milliseconds of audio.
    """

    id: str
    status: str
    stage: str | None = None
    progress: float | None = None
    model: str
    channels: str
    audio_track: str = "default"
    priority: int
    tags: tuple[str, ...] = ()
    source: Source
    audio_ms: int | None = None
    processed_ms: int = 0
    queue_position: int | str | None = None
    eta_seconds: float | None = None
    run: int = 1
    attempt: int = 0
    cancel_requested: bool = False
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Failure | None = None
    result: Result | None = None
    warnings: tuple[RecordingWarning, ...] = ()
    tracks: tuple[AudioTrack, ...] = ()
    attempts: tuple[Attempt, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether nothing happens to it any more by itself."""
        return self.status in TERMINAL


class Word(Value):
    """A Chinese character or an English word; `confidence` is 0 to 1."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float


class Edit(Value):
    """What a person made of a sentence; `text` is None where they went back to the machine's."""

    text: str | None = None
    machine_text: str
    revision: int
    edited_at: datetime
    edited_by: str | None = None


class Sentence(Value):
    """A punctuated sentence; `channel` counts from 0. Words and times are the machine's, also of a corrected one."""

    text: str
    start_ms: int
    end_ms: int
    channel: int = 0
    confidence: float = 0.0
    words: tuple[Word, ...] = ()
    edit: Edit | None = None


class Transcript(Value):
    """The sentences of a transcription, and its whole `text`."""

    id: str
    partial: bool = False
    model: str = ""
    audio_ms: int = 0
    no_speech: bool = False
    channels: int = 1
    warnings: tuple[RecordingWarning, ...] = ()
    sentences: tuple[Sentence, ...] = ()
    text: str = ""


class Page(Value):
    """Some transcriptions, newest first; `next` is the cursor behind them."""

    data: tuple[Transcription, ...]
    next: str | None = None


class Model(Value):
    """A model that can be asked for."""

    id: str
    default: bool = False
    workers: int = 0
    slots: int = 0


class Usage(Value):
    """What was used, one row per group."""

    data: tuple[dict[str, Any], ...] = Field(default=())
