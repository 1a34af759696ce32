"""Transcripts as json, txt, srt and vtt, sentence by sentence: a 10-hour transcript is never one string."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common.transcript.realign import realigned
from common.transcript.recording import warnings_json
from common.transcript.values import Edit, Sentence, Transcript, Word, needs_space

# What fits on two lines of a screen, and what a reader can follow.
CUE_WIDTH = 40
CUE_MS = 7_000


class Format(StrEnum):
    """The forms in which a transcript can be had."""

    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.TXT: "text/plain; charset=utf-8",
    Format.SRT: "application/x-subrip; charset=utf-8",
    Format.VTT: "text/vtt; charset=utf-8",
}


def render(form: Format, head: Transcript, sentences: Iterable[Sentence]) -> Iterator[str]:
    """The transcript in pieces of text."""
    match form:
        case Format.JSON:
            return as_json(head, sentences)
        case Format.TXT:
            return as_txt(sentences, channels=head.channels)
        case Format.SRT:
            return as_srt(sentences, channels=head.channels)
        case Format.VTT:
            return as_vtt(sentences, channels=head.channels)


def as_json(head: Transcript, sentences: Iterable[Sentence]) -> Iterator[str]:
    """One JSON object; `text`, the whole of it, comes last, when it is known."""
    rtf = round(head.processing_ms / head.audio_ms, 5) if head.audio_ms else None
    opening = {
        "id": head.job_id,
        "partial": head.partial,
        "model": head.model,
        "model_revision": head.model_revision,
        "precision": head.precision,
        "audio_ms": head.audio_ms,
        "processing_ms": head.processing_ms,
        "rtf": rtf,
        "channels": head.channels,
        "no_speech": head.no_speech,
        "warnings": warnings_json(head.warnings),
    }
    yield _dump(opening)[:-1] + ', "sentences": ['
    text: list[str] = []
    for number, sentence in enumerate(sentences):
        if text and needs_space(text[-1], sentence.text):
            text.append(" ")
        text.append(sentence.text)
        yield (",\n" if number else "\n") + _dump(sentence_object(sentence))
    yield '\n], "text": ' + _dump("".join(text)) + "}\n"


def sentence_object(sentence: Sentence) -> dict[str, Any]:
    """A sentence as the API shows it."""
    shown: dict[str, Any] = {
        "text": sentence.text,
        "start_ms": sentence.start_ms,
        "end_ms": sentence.end_ms,
        "channel": sentence.channel,
        "confidence": sentence.confidence,
        "words": [
            {"text": w.text, "start_ms": w.start_ms, "end_ms": w.end_ms, "confidence": w.confidence}
            for w in sentence.words
        ],
    }
    if sentence.edit is not None:
        shown["edit"] = _edit_object(sentence.edit)
    return shown


def _edit_object(edit: Edit) -> dict[str, Any]:
    return {
        "text": edit.text,
        "machine_text": edit.machine_text,
        "revision": edit.revision,
        "edited_at": edit.edited_at.isoformat().replace("+00:00", "Z"),
        "edited_by": edit.edited_by,
    }


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_txt(sentences: Iterable[Sentence], *, channels: int = 1) -> Iterator[str]:
    """One sentence a line; with several channels each line begins with its channel, counted from 1."""
    for sentence in sentences:
        yield f"{_speaker(sentence, channels)}{sentence.text}\n"


def as_srt(sentences: Iterable[Sentence], *, channels: int = 1) -> Iterator[str]:
    """SubRip cues."""
    number = 0
    for sentence in sentences:
        for cue in cues(sentence):
            number += 1
            times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
            yield f"{number}\n{times}\n{_speaker(sentence, channels)}{cue.text}\n\n"


def as_vtt(sentences: Iterable[Sentence], *, channels: int = 1) -> Iterator[str]:
    """WebVTT cues; channels are voices."""
    yield "WEBVTT\n\n"
    for sentence in sentences:
        voice = f"<v Channel {sentence.channel + 1}>" if channels > 1 else ""
        for cue in cues(sentence):
            text = cue.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            yield f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{voice}{text}\n\n"


def _speaker(sentence: Sentence, channels: int) -> str:
    return f"[{sentence.channel + 1}] " if channels > 1 else ""


def _clock(ms: int, separator: str) -> str:
    seconds, rest = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{separator}{rest:03}"


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen for a while."""

    text: str
    start_ms: int
    end_ms: int


def cues(sentence: Sentence) -> Iterator[Cue]:
    """A sentence in pieces that fit on a screen, broken behind punctuation where there is some near."""
    pieces = _pieces(sentence)
    pending: list[tuple[str, Word]] = []
    for index, (text, word) in enumerate(pieces):
        if pending and _full(pending, text, word):
            yield _cue(pending)
            pending = []
        pending.append((text, word))
        breathes = text.rstrip()[-1:] in "，、；：,;:" and _width(pending) >= CUE_WIDTH // 2
        if breathes and index + 1 < len(pieces):
            yield _cue(pending)
            pending = []
    if pending:
        yield _cue(pending)
    elif sentence.text.strip():
        yield Cue(sentence.text.strip(), sentence.start_ms, sentence.end_ms)


def _pieces(sentence: Sentence) -> list[tuple[str, Word]]:
    """Each word with the text from it up to the next word; what stands before the first belongs to it."""
    corrected = sentence.edit is not None and sentence.text == sentence.edit.text
    words = realigned(sentence.text, sentence.words) if corrected else sentence.words
    starts: list[int] = []
    reached = 0
    for word in words:
        found = sentence.text.find(word.text, reached)
        if found < 0:  # a text that is not made of its words
            return []
        starts.append(found)
        reached = found + len(word.text)
    ends = [*starts[1:], len(sentence.text)]
    starts[:1] = [0] if starts else []
    return [(sentence.text[start:end], word) for start, end, word in zip(starts, ends, words, strict=True)]


def _full(pending: list[tuple[str, Word]], text: str, word: Word) -> bool:
    too_wide = _width(pending) + _columns(text.strip()) > CUE_WIDTH
    return too_wide or word.end_ms - pending[0][1].start_ms > CUE_MS


def _width(pending: list[tuple[str, Word]]) -> int:
    return sum(_columns(text) for text, _ in pending)


def _columns(text: str) -> int:
    """Columns on a screen: a Chinese character takes two."""
    return sum(1 if character.isascii() else 2 for character in text)


def _cue(pending: list[tuple[str, Word]]) -> Cue:
    text = "".join(piece for piece, _ in pending).strip()
    return Cue(text, pending[0][1].start_ms, pending[-1][1].end_ms)
