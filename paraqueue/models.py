"""What the service answers, as frozen values. Fields that a newer service adds are kept in `model_extra`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from paraqueue.statuses import TERMINAL, Stage, Status


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

    `progress` is 0 to 1, None while the length of the audio is unknown; all `_ms` are milliseconds of audio. `preview`
    is filled in by lists that were asked for it; `attempts` and the times of deletion by `get`, `wait` and `retry`.
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

    @property
    def ended(self) -> bool:
        """Whether the state is terminal."""
        return self.status in TERMINAL


class Word(Value):
    """A Chinese character or an English word; `confidence` is 0 to 1.

    `replaced_from` is what was recognised where a hotword replaced it; "" for further words of the same place. A
    person has checked a `confirmed` word.
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float
    speaker: int | None = None
    filler: bool = False
    replaced_from: str | None = None
    confirmed: bool = False


class Speaker(Value):
    """Somebody who speaks: a number from 1, and a name if somebody gave one; `share` of all speech is 0 to 1."""

    number: int
    name: str | None = None
    speech_ms: int = 0
    share: float = 0.0


class Edit(Value):
    """What a person made of a sentence; `text` is None where they went back to the machine's."""

    text: str | None = None
    machine_text: str
    revision: int
    edited_at: datetime
    edited_by: str | None = None


class Structure(Value):
    """What was split or merged: with which other sentence, and for `merged` where that began."""

    kind: str
    other: int
    at_word: int | None = None
    at_character: int | None = None


class Revision(Value):
    """A change of a sentence; `text_before` is None if the revision before is no longer kept."""

    revision: int
    text: str
    text_before: str | None = None
    confirmed: tuple[int, ...] = ()
    edited_at: datetime
    edited_by: str | None = None
    edited_by_name: str | None = None
    structure: Structure | None = None


class Correction(Value):
    """A text for a sentence, counted from 0; None restores the machine's. What you saw of it guards against changes."""

    number: int
    text: str | None
    revision: int | None = None
    machine_text: str | None = None


class Corrected(Value):
    """What a correction made of a sentence; `edit` is None if it was never changed."""

    number: int
    text: str
    edit: Edit | None = None


class Sentence(Value):
    """A punctuated sentence; `channel` counts from 0. Words and times are the machine's, also of a corrected one."""

    text: str
    start_ms: int
    end_ms: int
    channel: int = 0
    confidence: float = 0.0
    words: tuple[Word, ...] = ()
    edit: Edit | None = None
    speaker: int | None = None
    text_spoken: str | None = None
    number: int | None = None


class Transcript(Value):
    """The sentences of a transcription, and its whole `text`."""

    id: str
    partial: bool = False
    model: str = ""
    segmentation: str | None = None
    audio_ms: int = 0
    no_speech: bool = False
    channels: int = 1
    warnings: tuple[RecordingWarning, ...] = ()
    speakers: tuple[Speaker, ...] | None = None
    sentences: tuple[Sentence, ...] = ()
    text: str = ""


class Page(Value):
    """A page of transcriptions, newest first, and the cursor of the next page."""

    data: tuple[Transcription, ...]
    next: str | None = None


class NumberedSentence(Sentence):
    """A sentence with its number, which never changes; the order is that of the list."""

    number: int


class SentencePage(Value):
    """A page of sentences of a run; `next` is the `after` of the next page, None at the current end."""

    status: Status
    run: int
    data: tuple[NumberedSentence, ...]
    next: int | None = None


class Hit(Value):
    """A sentence that a search found; `matches` are slices of `text`: start and end, in characters."""

    transcription_id: str
    name: str | None = None
    created_at: datetime
    number: int
    start_ms: int
    end_ms: int
    channel: int = 0
    speaker: int | None = None
    speaker_name: str | None = None
    text: str
    snippet: str
    matches: tuple[tuple[int, int], ...] = ()


class SearchPage(Value):
    """Sentences found, those of the newest transcriptions first; `capped`: only the newest sentences were searched."""

    data: tuple[Hit, ...]
    capped: bool = False
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


class Webhook(Value):
    """A webhook endpoint; `secret` is shown only after creation and rotation."""

    id: str
    url: str
    description: str = ""
    events: tuple[str, ...]
    enabled: bool
    disabled_reason: str | None = None
    previous_secret_until: datetime | None = None
    created_at: datetime
    updated_at: datetime
    secret: str | None = None


class Delivery(Value):
    """One event for one receiver; `id` is also its `webhook-id` header."""

    id: str
    type: str
    webhook_id: str | None = None
    transcription_id: str | None = None
    batch_id: str | None = None
    status: str
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    created_at: datetime
    delivered_at: datetime | None = None


class DeliveryPage(Value):
    """A page of deliveries, newest first."""

    data: tuple[Delivery, ...]
    next: str | None = None


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
