"""What the service answers, as frozen values. Fields that a newer service adds are kept in `model_extra`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from paraqueue.statuses import TERMINAL, Stage, Status
from paraqueue.summary_models import (
    PreviousSummary,
    Summary,
    SummaryTemplate,
    SummaryTemplatePage,
    SummaryTemplateRef,
)
from paraqueue.transcript_models import (
    Corrected,
    Correction,
    Edit,
    Hit,
    NumberedSentence,
    Revision,
    SearchPage,
    Sentence,
    SentencePage,
    Speaker,
    Structure,
    Transcript,
    Word,
)
from paraqueue.values import Failure, RecordingWarning, Value
from paraqueue.webhook_models import Delivery, DeliveryPage, Webhook

__all__ = [
    "Attempt",
    "AudioTrack",
    "Batch",
    "BatchItem",
    "BatchPage",
    "Corrected",
    "Correction",
    "Delivery",
    "DeliveryPage",
    "Edit",
    "Failure",
    "Hit",
    "Model",
    "NumberedSentence",
    "Page",
    "PreviousSummary",
    "RecordingWarning",
    "Result",
    "Revision",
    "SearchPage",
    "Sentence",
    "SentencePage",
    "Share",
    "Source",
    "Speaker",
    "Structure",
    "Summary",
    "SummaryTemplate",
    "SummaryTemplatePage",
    "SummaryTemplateRef",
    "Transcript",
    "Transcription",
    "Usage",
    "Value",
    "Vocabulary",
    "VocabularyPage",
    "Webhook",
    "Word",
]


class Source(Value):
    """Where the audio came from."""

    kind: str
    url: str | None = None
    name: str | None = None
    bytes: int | None = None
    sha256: str | None = None


class Result(Value):
    """The result of a completed transcription."""

    model: str
    model_revision: str
    precision: str
    channels: int
    no_speech: bool
    processing_ms: int
    rtf: float | None = None


class AudioTrack(Value):
    """An audio track of the file."""

    index: int
    codec: str
    channels: int
    sample_rate: int
    language: str | None = None
    title: str | None = None
    default: bool = False
    transcribed: bool = False


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
    """A job: its request, progress and result.

    `progress` is 0 to 1, None while the length of the audio is unknown; all `_ms` are milliseconds of audio. Only lists
    that were asked for it fill in `preview`; only `get` and `wait` fill in `attempts` and the times of deletion.
    """

    id: str
    status: Status
    stage: Stage | None = None
    progress: float | None = None
    model: str
    channels: str
    audio_track: str = "default"
    speakers: bool = False
    min_speakers: int | None = None
    max_speakers: int | None = None
    known_voices: bool = True
    itn: bool = False
    remove_fillers: bool = False
    masked_words: tuple[str, ...] = ()
    hotwords: tuple[str, ...] = ()
    vocabulary_id: str | None = None
    script: str | None = None
    segmentation: str | None = None
    priority: int
    name: str | None = None
    tags: tuple[str, ...] = ()
    webhook_url: str | None = None
    batch_id: str | None = None
    deduplicated_from: str | None = None
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
    preview: str | None = None
    attempts: tuple[Attempt, ...] = ()
    audio_expires_at: datetime | None = None
    audio_deleted_at: datetime | None = None
    transcript_expires_at: datetime | None = None
    transcript_deleted_at: datetime | None = None
    expires_at: datetime | None = None
    summary: Status | None = None

    @property
    def ended(self) -> bool:
        """Whether the state is terminal."""
        return self.status in TERMINAL


class Page(Value):
    """A page of transcriptions, newest first, and the cursor of the next page."""

    data: tuple[Transcription, ...]
    next: str | None = None


class BatchItem(Value):
    """A link of a batch, in the order given; `id` is None if the link was refused or its transcription deleted."""

    index: int
    id: str | None = None
    status: Status | Literal["refused", "deleted"]
    error: Failure | None = None


class Batch(Value):
    """Links that were submitted together; `counts` by status. `completed`: nothing of it is running any more.

    `items` is empty in lists of batches.
    """

    id: str
    status: Literal["processing", "completed"]
    total: int
    counts: dict[str, int]
    created_at: datetime
    finished_at: datetime | None = None
    items: tuple[BatchItem, ...] = ()


class BatchPage(Value):
    """A page of batches, newest first."""

    data: tuple[Batch, ...]
    next: str | None = None


class Vocabulary(Value):
    """Words that many transcriptions share; `revision` counts the changes. The lists are empty in pages."""

    id: str
    name: str
    revision: int
    hotword_count: int
    masked_word_count: int
    hotwords: tuple[str, ...] = ()
    masked_words: tuple[str, ...] = ()
    created_at: datetime
    updated_at: datetime


class VocabularyPage(Value):
    """A page of vocabularies, newest first."""

    data: tuple[Vocabulary, ...]
    next: str | None = None


class Share(Value):
    """A link for people without a key; `url` and `token` are shown only after creation."""

    id: str
    audio: bool
    created_at: datetime
    created_by: str | None = None
    expires_at: datetime
    last_used_at: datetime | None = None
    views: int = 0
    url: str | None = None
    token: str | None = None


class Model(Value):
    """A model that can be asked for."""

    id: str
    default: bool = False
    workers: int = 0
    slots: int = 0
    speakers: bool = False


class Usage(Value):
    """Usage, one row per group."""

    data: tuple[dict[str, Any], ...] = Field(default=())
