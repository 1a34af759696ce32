"""The values that recognition produces. Times are integer milliseconds from the start of the audio."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from common.transcript.recording import NOTHING_KNOWN, Recording, RecordingWarning


@dataclass(frozen=True, slots=True)
class Word:
    """A Chinese character or an English word.

    `confidence` is the geometric mean of its tokens' probabilities, 0 to 1.
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person made of a sentence: `text` is None where they went back to the machine's.

    `revision` counts the changes, from 1; `edited_by` is the public id of the key, None where there was none.
    """

    text: str | None
    machine_text: str
    revision: int
    edited_at: datetime
    edited_by: str | None


@dataclass(frozen=True, slots=True)
class Sentence:
    """Punctuated text with the words it was made of; `channel` counts from 0.

    The words, and with them the times, are the machine's, also where `text` is a person's.
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float
    words: tuple[Word, ...]
    channel: int = 0
    edit: Edit | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of audio whose finished sentences are committed together.

    `state` is what a later attempt needs to continue at `end_ms` with exactly the
    text that an undisturbed attempt would have produced; it is opaque to everyone
    but the pipeline that wrote it. `recording` is what was known of it by then.
    """

    number: int
    start_ms: int
    end_ms: int
    sentences: tuple[Sentence, ...]
    state: bytes
    last: bool = False
    recording: Recording = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class Transcript:
    """The head of a transcript; its sentences are streamed beside it, never held as one object."""

    job_id: str
    model: str
    model_revision: str
    precision: str
    audio_ms: int
    processing_ms: int
    channels: int
    no_speech: bool
    partial: bool = False
    warnings: tuple[RecordingWarning, ...] = ()


def joined_text(sentences: Iterable[Sentence]) -> str:
    """Sentences as running text: a space only where Latin letters would touch.

    Chinese punctuation needs no space after it; an English sentence that follows one does.
    """
    pieces: list[str] = []
    for sentence in sentences:
        if pieces and needs_space(pieces[-1], sentence.text):
            pieces.append(" ")
        pieces.append(sentence.text)
    return "".join(pieces)


def needs_space(left: str, right: str) -> bool:
    """Whether two adjacent pieces of text are separated by a space when people write them."""
    if not left or not right:
        return False
    last, first = left[-1], right[0]
    return last.isascii() and first.isascii() and not last.isspace() and first.isalnum()
