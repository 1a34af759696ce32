"""Transcripts in every format, streamed by sentence: a 10-hour transcript is never one string."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from pysubs2 import SSAFile
from pysubs2.formats.substation import SubstationFormat

from common.transcript.documents import as_csv, as_markdown, clock
from common.transcript.docx_file import as_docx
from common.transcript.recording import warnings_json
from common.transcript.subtitles import Cue, SubtitleOptions, subtitles
from common.transcript.values import Edit, Sentence, Speaker, Transcript, needs_space

DEFAULT_SUBTITLES = SubtitleOptions()
Labels = Mapping[int, str]
"""What to call each speaker, by number."""
NO_LABELS: Labels = {}
# A brace would start an override and a backslash an escape, so they are replaced by similar-looking characters.
ASS_SIGNS = str.maketrans({"{": "（", "}": "）", "\\": "＼", "\n": " "})


class Format(StrEnum):
    """The output formats of a transcript."""

    JSON = "json"
    TXT = "txt"
    SRT = "srt"
    VTT = "vtt"
    ASS = "ass"
    MD = "md"
    CSV = "csv"
    DOCX = "docx"


TEXT_FORMATS = tuple(form for form in Format if form is not Format.DOCX)
MEDIA_TYPES = {
    Format.JSON: "application/json",
    Format.TXT: "text/plain; charset=utf-8",
    Format.SRT: "application/x-subrip; charset=utf-8",
    Format.VTT: "text/vtt; charset=utf-8",
    Format.ASS: "text/x-ssa; charset=utf-8",
    Format.MD: "text/markdown; charset=utf-8",
    Format.CSV: "text/csv; charset=utf-8",
    Format.DOCX: "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}


def encoded(
    form: Format, head: Transcript, sentences: Iterable[Sentence], options: SubtitleOptions = DEFAULT_SUBTITLES
) -> Iterator[bytes]:
    """Yield the transcript as the bytes of a file, in pieces."""
    if form is Format.DOCX:
        return as_docx(head, sentences, options)
    return (piece.encode() for piece in render(form, head, sentences, options))


def render(
    form: Format, head: Transcript, sentences: Iterable[Sentence], options: SubtitleOptions = DEFAULT_SUBTITLES
) -> Iterator[str]:
    """Yield the transcript in pieces of text. Raises ValueError for docx, which is not text (see `encoded`)."""
    match form:
        case Format.JSON:
            return as_json(head, sentences)
        case Format.TXT:
            return as_txt(sentences, channels=head.channels, options=options, labels=head.labels)
        case Format.SRT:
            return as_srt(sentences, channels=head.channels, options=options, labels=head.labels)
        case Format.VTT:
            return as_vtt(sentences, channels=head.channels, options=options, labels=head.labels)
        case Format.ASS:
            return as_ass(sentences, channels=head.channels, options=options, labels=head.labels)
        case Format.MD:
            return as_markdown(head, sentences, options)
        case Format.CSV:
            return as_csv(head, sentences)
        case Format.DOCX:
            raise ValueError("docx is not text")


def as_json(head: Transcript, sentences: Iterable[Sentence]) -> Iterator[str]:
    """Yield one JSON object; `text`, the full text, comes last, as it is known only then."""
    rtf = round(head.processing_ms / head.audio_ms, 5) if head.audio_ms else None
    opening = {
        "id": head.job_id,
        "partial": head.partial,
        "model": head.model,
        "model_revision": head.model_revision,
        "precision": head.precision,
        "segmentation": head.segmentation,
        "audio_ms": head.audio_ms,
        "processing_ms": head.processing_ms,
        "rtf": rtf,
        "channels": head.channels,
        "no_speech": head.no_speech,
        "warnings": warnings_json(head.warnings),
        "speakers": None if head.speakers is None else speakers_json(head.speakers),
    }
    yield _dump(opening)[:-1] + ', "sentences": ['
    text: list[str] = []
    for number, sentence in enumerate(sentences):
        if text and needs_space(text[-1], sentence.text):
            text.append(" ")
        if sentence.text:
            text.append(sentence.text)
        yield (",\n" if number else "\n") + _dump(sentence_object(sentence))
    yield '\n], "text": ' + _dump("".join(text)) + "}\n"


def speakers_json(speakers: Iterable[Speaker]) -> list[dict[str, Any]]:
    """Return speakers as the API shows them; `share` is the share of all speech, 0 to 1."""
    listed = list(speakers)
    total = sum(speaker.speech_ms for speaker in listed)
    return [
        {
            "number": speaker.number,
            "name": speaker.name,
            "speech_ms": speaker.speech_ms,
            "share": round(speaker.speech_ms / total, 4) if total else 0.0,
        }
        for speaker in listed
    ]


def sentence_object(sentence: Sentence) -> dict[str, Any]:
    """Return a sentence as the API shows it."""
    shown: dict[str, Any] = {} if sentence.number is None else {"number": sentence.number}
    shown |= {
        "text": sentence.text,
        "start_ms": sentence.start_ms,
        "end_ms": sentence.end_ms,
        "channel": sentence.channel,
        "confidence": sentence.confidence,
        "words": [
            {"text": w.text, "start_ms": w.start_ms, "end_ms": w.end_ms, "confidence": w.confidence}
            | ({"filler": True} if w.filler else {})
            | ({"replaced_from": w.replaced_from} if w.replaced_from is not None else {})
            | ({"confirmed": True} if w.confirmed else {})
            for w in sentence.words
        ],
    }
    if sentence.spoken is not None:
        shown["text_spoken"] = sentence.spoken
    if sentence.tags is not None:
        shown |= sentence.tags.stored()
    if sentence.speaker is not None:
        shown["speaker"] = sentence.speaker
        for shown_word, word in zip(shown["words"], sentence.words, strict=True):
            shown_word["speaker"] = word.speaker or sentence.speaker
    if sentence.edit is not None:
        shown["edit"] = edit_object(sentence.edit)
    return shown


def edit_object(edit: Edit) -> dict[str, Any]:
    """Return a correction as the API shows it."""
    return {
        "text": edit.text,
        "machine_text": edit.machine_text,
        "revision": edit.revision,
        "edited_at": edit.edited_at.isoformat().replace("+00:00", "Z"),
        "edited_by": edit.edited_by,
    }


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def as_txt(
    sentences: Iterable[Sentence],
    *,
    channels: int = 1,
    options: SubtitleOptions = DEFAULT_SUBTITLES,
    labels: Labels = NO_LABELS,
) -> Iterator[str]:
    """Yield one sentence per line, which starts with its speaker or, with several channels, its channel from 1.

    With `options.times`, the time comes first.
    """
    named = options.speakers is not False and (channels > 1 or bool(labels))
    for sentence in sentences:
        time = f"[{clock(sentence.start_ms)}] " if options.times else ""
        prefix = _prefix(sentence, labels) if named else ""
        if sentence.text:
            yield f"{time}{prefix}{sentence.text}\n"


def as_srt(
    sentences: Iterable[Sentence],
    *,
    channels: int = 1,
    options: SubtitleOptions = DEFAULT_SUBTITLES,
    labels: Labels = NO_LABELS,
) -> Iterator[str]:
    """Yield SubRip cues."""
    for number, cue in enumerate(subtitles(sentences, options, channels=channels), 1):
        times = f"{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}"
        prefix = _prefix(cue, labels) if _names(channels, options, labels) else ""
        yield f"{number}\n{times}\n{prefix}" + "\n".join(cue.lines) + "\n\n"


def as_vtt(
    sentences: Iterable[Sentence],
    *,
    channels: int = 1,
    options: SubtitleOptions = DEFAULT_SUBTITLES,
    labels: Labels = NO_LABELS,
) -> Iterator[str]:
    """Yield WebVTT cues; speakers, or else channels, become voices."""
    yield "WEBVTT\n\n"
    for cue in subtitles(sentences, options, channels=channels):
        voice = f"<v {_escaped(_name(cue, labels))}>" if _names(channels, options, labels) else ""
        text = _escaped("\n".join(cue.lines))
        yield f"{_clock(cue.start_ms, '.')} --> {_clock(cue.end_ms, '.')}\n{voice}{text}\n\n"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def as_ass(
    sentences: Iterable[Sentence],
    *,
    channels: int = 1,
    options: SubtitleOptions = DEFAULT_SUBTITLES,
    labels: Labels = NO_LABELS,
) -> Iterator[str]:
    """Yield Advanced SubStation Alpha with one style; speakers, or else channels, become names."""
    yield SSAFile().to_string("ass").rstrip("\n") + "\n"
    for cue in subtitles(sentences, options, channels=channels):
        # A comma would end the field.
        name = _name(cue, labels).replace(",", "，") if _names(channels, options, labels) else ""
        text = "\\N".join(line.translate(ASS_SIGNS) for line in cue.lines)
        times = ",".join(SubstationFormat.ms_to_timestamp(ms) for ms in (cue.start_ms, cue.end_ms))
        yield f"Dialogue: 0,{times},Default,{name.translate(ASS_SIGNS)},0,0,0,,{text}\n"


def _names(channels: int, options: SubtitleOptions, labels: Labels) -> bool:
    return (channels > 1 or bool(labels)) if options.speakers is None else options.speakers


def _name(item: Cue | Sentence, labels: Labels) -> str:
    """The speaker of a cue or sentence or, if it is not known, the channel."""
    return labels.get(item.speaker or 0, f"Channel {item.channel + 1}")


def _prefix(item: Cue | Sentence, labels: Labels) -> str:
    label = labels.get(item.speaker or 0)
    return f"[{item.channel + 1}] " if label is None else f"{label}: "


def _clock(ms: int, separator: str) -> str:
    seconds, rest = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}{separator}{rest:03}"
