"""Transcripts, their sentences, and what people and searches make of them, as frozen values."""

from __future__ import annotations

from datetime import datetime

from paraqueue.statuses import Status
from paraqueue.values import RecordingWarning, Value


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
    """The correction of a sentence; `text` is None if the machine's was restored, or only words were confirmed."""

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
    """A change of a sentence; `text_before` is None if it is no longer kept."""

    revision: int
    text: str
    text_before: str | None = None
    confirmed: tuple[int, ...] = ()
    edited_at: datetime
    edited_by: str | None = None
    edited_by_name: str | None = None
    structure: Structure | None = None


class Correction(Value):
    """A new text for the sentence `number`, from 0; None restores the machine's text.

    With `revision` or `machine_text`, as you read them, nothing is overwritten that has changed since.
    """

    number: int
    text: str | None
    revision: int | None = None
    machine_text: str | None = None


class Corrected(Value):
    """A sentence after its correction; `edit` is None if it was never changed."""

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
    language: str | None = None
    emotion: str | None = None
    events: tuple[str, ...] = ()


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
