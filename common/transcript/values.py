"""The values produced by recognition. Times are integer milliseconds from the start of the audio."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from common.transcript.recording import NOTHING_KNOWN, Recording, RecordingWarning
from common.transcript.scripts import is_spaced


@dataclass(frozen=True, slots=True)
class Word:
    """A Chinese character or an English word.

    `confidence` is the geometric mean of its tokens' probabilities, 0 to 1. `filler`: the text of the sentence leaves
    it out. `replaced_from`: what was recognised where a hotword replaced it; "" for further words of the same place.
    `speaker`: who said it, if that is somebody else than the sentence's speaker. `confirmed`: a person has checked it,
    and its confidence is 1.
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float
    filler: bool = False
    replaced_from: str | None = None
    speaker: int | None = None
    confirmed: bool = False


@dataclass(frozen=True, slots=True)
class Tags:
    """What a model heard besides words.

    `language`: of the speech, an ISO 639 code; `emotion`: `happy`, `sad`, `angry`, `neutral`, `fearful`, `disgusted` or
    `surprised`; None where the model does not know. `events`: other sounds, e.g. `bgm`, `laughter`, `applause`.
    """

    language: str | None = None
    emotion: str | None = None
    events: tuple[str, ...] = ()

    def stored(self) -> dict[str, Any]:
        """The tags as JSON."""
        return {"language": self.language, "emotion": self.emotion, "events": list(self.events)}


@dataclass(frozen=True, slots=True)
class Edit:
    """A person's correction of a sentence; `text` is None if the machine's stands: restored, or its words confirmed.

    `revision` counts the changes from 1; `edited_by` is the public id of the key, or None without one. `words` are
    those of `text`, with times from the machine's; None if they were not stored.
    """

    text: str | None
    machine_text: str
    revision: int
    edited_at: datetime
    edited_by: str | None
    words: tuple[Word, ...] | None = None


@dataclass(frozen=True, slots=True)
class Sentence:
    """Punctuated text with the words it was made of; `channel` counts from 0.

    The words, and so the times, are the machine's, even if `text` is a person's. `speaker` counts from 1; None if the
    job does not tell speakers apart, or has not ended. `spoken` is the recognised text, None if `text`
    was not changed by rules (`common.transcript.text_rules`). `number` is that of the stored sentence, which people may
    have split or merged (`common.transcript.sentence_numbers`). `tags`: what else the model heard around it; None if it
    is a model that only hears words.
    """

    text: str
    start_ms: int
    end_ms: int
    confidence: float
    words: tuple[Word, ...]
    channel: int = 0
    edit: Edit | None = None
    speaker: int | None = None
    spoken: str | None = None
    number: int | None = field(default=None, compare=False)
    tags: Tags | None = None

    @property
    def machine_text(self) -> str:
        """The text before people changed it."""
        return self.text if self.edit is None else self.edit.machine_text

    @property
    def revision(self) -> int:
        """How often people changed it."""
        return 0 if self.edit is None else self.edit.revision


@dataclass(frozen=True, slots=True)
class Speaker:
    """Somebody who speaks in a recording: a number from 1, a name if there is one, milliseconds of sentences.

    `voice_id`: the known voice that it was recognised as, or enrolled in. With a `similarity` (a cosine) the name comes
    from that voice.
    """

    number: int
    name: str | None
    speech_ms: int
    voice_id: uuid.UUID | None = None
    similarity: float | None = None

    @property
    def name_source(self) -> Literal["voice", "person"] | None:
        """Who gave the name: a known voice that was recognised, or people."""
        if self.name is None:
            return None
        return "person" if self.similarity is None else "voice"

    @property
    def label(self) -> str:
        """What to call the speaker in a text."""
        return self.name or f"Speaker {self.number}"


@dataclass(frozen=True, slots=True)
class Part:
    """A section of audio whose finished sentences are committed together.

    `state` is what a later attempt needs to continue at `end_ms` with exactly the text that an uninterrupted attempt
    would have produced; it is opaque to everything but the pipeline that wrote it. `recording` is what was known of the
    recording by then. `windows` are the speaker embeddings of the part (`worker.engine.speakers.windows`), empty for a
    job without speakers.
    """

    number: int
    start_ms: int
    end_ms: int
    sentences: tuple[Sentence, ...]
    state: bytes
    last: bool = False
    recording: Recording = NOTHING_KNOWN
    windows: bytes = b""


@dataclass(frozen=True, slots=True)
class SummaryText:
    """A summary of a transcript: plain text that a language model wrote.

    `stale`: the transcript changed since; `truncated`: the model was cut off.
    """

    text: str
    model: str
    stale: bool = False
    truncated: bool = False

    @property
    def origin(self) -> str:
        """What readers must know of it."""
        changed = "; the transcript was changed afterwards" if self.stale else ""
        cut_off = ", cut off at its limit" if self.truncated else ""
        return f"written by the language model {self.model}{cut_off}, may be wrong{changed}"


@dataclass(frozen=True, slots=True)
class Transcript:
    """The metadata of a transcript; its sentences are streamed separately, never held as one object.

    `speakers` is None for a job that does not tell speakers apart; `name` is that of the recording, if it has one.
    """

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
    speakers: tuple[Speaker, ...] | None = None
    name: str | None = None
    created_at: datetime | None = None
    segmentation: str | None = None
    summary: SummaryText | None = None

    @property
    def labels(self) -> dict[int, str]:
        """What to call each speaker."""
        return {speaker.number: speaker.label for speaker in self.speakers or ()}


def tags_of(stored: Mapping[str, Any] | None) -> Tags | None:
    """Return the inverse of `Tags.stored`."""
    return None if stored is None else Tags(stored["language"], stored["emotion"], tuple(stored["events"]))


def merged(several: Iterable[Tags | None]) -> Tags | None:
    """Return the tags of stretches of speech that became one sentence: the first language and emotion, every event."""
    known = [tags for tags in several if tags is not None]
    if not known:
        return None
    languages = (tags.language for tags in known if tags.language is not None)
    emotions = (tags.emotion for tags in known if tags.emotion is not None)
    events = dict.fromkeys(event for tags in known for event in tags.events)
    return Tags(next(languages, None), next(emotions, None), tuple(events))


def joined_text(sentences: Iterable[Sentence]) -> str:
    """Join sentences into running text, with a space only where Latin letters would touch.

    Chinese punctuation needs no space after it, but an English sentence that follows another does.
    """
    pieces: list[str] = []
    for sentence in sentences:
        if not sentence.text:  # nothing but fillers
            continue
        if pieces and needs_space(pieces[-1], sentence.text):
            pieces.append(" ")
        pieces.append(sentence.text)
    return "".join(pieces)


def needs_space(left: str, right: str) -> bool:
    """Return whether two adjacent pieces of text are separated by a space in normal writing."""
    if not left or not right:
        return False
    last, first = left[-1], right[0]
    return is_spaced(last) and is_spaced(first) and not last.isspace() and first.isalnum()
