"""Transcripts as json, txt, srt, vtt and ass, sentence by sentence: a 10-hour transcript is never one string."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Any

from pysubs2 import SSAFile
from pysubs2.formats.substation import SubstationFormat

from common.transcript.recording import warnings_json
from common.transcript.subtitles import Cue, SubtitleOptions, subtitles
from common.transcript.values import Edit, Sentence, Transcript, needs_space

DEFAULT_SUBTITLES = SubtitleOptions()
# Braces would begin an override and a backslash an escape: in their place stand signs that look alike.
ASS_SIGNS = str.maketrans({"{": "（", "}": "）", "\\": "＼", "\n": " "})


class Format(StrEnum):
    """The forms in which a transcript can be had."""

    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    ASS = "ass"


MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.TXT: "text/plain; charset=utf-8",
    Format.SRT: "application/x-subrip; charset=utf-8",
    Format.VTT: "text/vtt; charset=utf-8",
    Format.ASS: "text/x-ssa; charset=utf-8",
}


def render(
    form: Format, head: Transcript, sentences: Iterable[Sentence], options: SubtitleOptions = DEFAULT_SUBTITLES
) -> Iterator[str]:
    """The transcript in pieces of text; `options` are for subtitles."""
    match form:
        case Format.JSON:
            return as_json(head, sentences)
        case Format.TXT:
            return as_txt(sentences, channels=head.channels)
        case Format.SRT:
            return as_srt(sentences, channels=head.channels, options=options)
        case Format.VTT:
            return as_vtt(sentences, channels=head.channels, options=options)
        case Format.ASS:
            return as_ass(sentences, channels=head.channels, options=options)


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


def as_srt(
    sentences: Iterable[Sentence], *, channels: int = 1, options: SubtitleOptions = DEFAULT_SUBTITLES
) -> Iterator[str]:
    """SubRip cues."""
    for number, cue in enumerate(subtitles(sentences, options, channels=channels), 1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        yield f"{number}\n{times}\n{_named(cue, channels, options)}" + "\n".join(cue.lines) + "\n\n"


def as_vtt(
    sentences: Iterable[Sentence], *, channels: int = 1, options: SubtitleOptions = DEFAULT_SUBTITLES
) -> Iterator[str]:
    """WebVTT cues; channels are voices."""
    yield "WEBVTT\n\n"
    for cue in subtitles(sentences, options, channels=channels):
        voice = f"<v Channel {cue.channel + 1}>" if _names(channels, options) else ""
        text = "\n".join(cue.lines).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        yield f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{voice}{text}\n\n"


def as_ass(
    sentences: Iterable[Sentence], *, channels: int = 1, options: SubtitleOptions = DEFAULT_SUBTITLES
) -> Iterator[str]:
    """Advanced SubStation Alpha, with one style; channels are names."""
    yield SSAFile().to_string("ass").rstrip("\n") + "\n"
    for cue in subtitles(sentences, options, channels=channels):
        name = f"Channel {cue.channel + 1}" if _names(channels, options) else ""
        text = "\\N".join(line.translate(ASS_SIGNS) for line in cue.lines)
        times = ",".join(SubstationFormat.ms_to_timestamp(ms) for ms in (cue.start_ms, cue.end_ms))
        yield f"Dialogue: 0,{times},Default,{name},0,0,0,,{text}\n"


def _names(channels: int, options: SubtitleOptions) -> bool:
    return channels > 1 if options.speakers is None else options.speakers


def _named(cue: Cue, channels: int, options: SubtitleOptions) -> str:
    return f"[{cue.channel + 1}] " if _names(channels, options) else ""


def _speaker(sentence: Sentence, channels: int) -> str:
    return f"[{sentence.channel + 1}] " if channels > 1 else ""


def _clock(ms: int, separator: str) -> str:
    seconds, rest = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{separator}{rest:03}"
