"""Transcripts for people to read on: Markdown by turns of speakers, and a table for spreadsheets."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping

from common.transcript.subtitles import SubtitleOptions
from common.transcript.values import Sentence, Speaker, Transcript, needs_space

COLUMNS = ("start", "end", "speaker", "channel", "confidence", "text")
# Spreadsheets take a cell that begins like this for a formula; an apostrophe makes it text.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# A longer turn continues in another paragraph, so that a lecture is not a single one.
LONGEST_PARAGRAPH_MS = 120_000
_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|])")


def as_markdown(head: Transcript, sentences: Iterable[Sentence], options: SubtitleOptions) -> Iterator[str]:
    """Yield a heading, the speakers with their shares, the summary, and a paragraph for each turn with its time."""
    facts = " · ".join(part for part in (clock(head.audio_ms), _escaped(head.model)) if part)
    yield f"# {_escaped(head.name) if head.name else head.job_id}\n\n- {facts}\n"
    for speaker, share in shares(head, options):
        yield f"- {_escaped(speaker.label)}: {clock(speaker.speech_ms)} ({share:.0%})\n"
    if head.summary is not None:
        lines = [_escaped(line) for line in head.summary.text.splitlines()]
        yield "\n".join(["\n## Summary", "", *lines, "", f"({_escaped(head.summary.origin)})", "", "## Transcript", ""])
    between = "\n"
    for sentence, text, begins in in_paragraphs(sentences):
        if begins:
            start = _escaped(opening(sentence, head, options))
            yield between + (f"**{start}** " if start else "")
            between = "\n\n"
        yield _escaped(text)
    yield "\n"


def as_csv(head: Transcript, sentences: Iterable[Sentence]) -> Iterator[str]:
    """Yield a row per sentence; times in seconds, channels from 1; with a byte order mark, which Excel needs."""
    labels = head.labels
    yield "\ufeff" + _row(COLUMNS)
    for sentence in sentences:
        yield _row(
            (
                f"{sentence.start_ms / 1000:.3f}",
                f"{sentence.end_ms / 1000:.3f}",
                _cell(labels.get(sentence.speaker or 0, "")),
                str(sentence.channel + 1),
                f"{sentence.confidence:.4f}",
                _cell(sentence.text),
            )
        )


def in_paragraphs(sentences: Iterable[Sentence]) -> Iterator[tuple[Sentence, str, bool]]:
    """Yield sentences that have text, each with its text as it continues a paragraph, and whether it begins one.

    A paragraph is a turn of a speaker or channel, or a part of a long turn.
    """
    first: Sentence | None = None
    before = ""
    for sentence in sentences:
        if not sentence.text:
            continue
        begins = first is None or not _continues(sentence, first)
        if begins:
            first = sentence
        space = "" if begins or not needs_space(before, sentence.text) else " "
        yield sentence, space + sentence.text, begins
        before = sentence.text


def _continues(sentence: Sentence, first: Sentence) -> bool:
    same = (sentence.channel, sentence.speaker) == (first.channel, first.speaker)
    return same and sentence.start_ms - first.start_ms < LONGEST_PARAGRAPH_MS


def shares(head: Transcript, options: SubtitleOptions) -> list[tuple[Speaker, float]]:
    """Return the speakers to list with their shares of all speech, 0 to 1."""
    speakers = (head.speakers or ()) if options.speakers is not False else ()
    total = sum(speaker.speech_ms for speaker in speakers)
    return [(speaker, speaker.speech_ms / total if total else 0.0) for speaker in speakers]


def opening(sentence: Sentence, head: Transcript, options: SubtitleOptions) -> str:
    """Return what a paragraph begins with: time and speaker, as far as they are wanted and known."""
    time = f"[{clock(sentence.start_ms)}]" if options.times is not False else ""
    name = who(sentence, head.labels, head.channels) if options.speakers is not False else ""
    return " ".join(part for part in (time, name) if part)


def who(sentence: Sentence, labels: Mapping[int, str], channels: int) -> str:
    """Return the speaker or, of several, the channel of a sentence; empty if there is nothing to tell apart."""
    label = labels.get(sentence.speaker or 0)
    return label if label is not None else f"Channel {sentence.channel + 1}" if channels > 1 else ""


def clock(ms: int) -> str:
    """Return a time as h:mm:ss."""
    minutes, seconds = divmod(ms // 1000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text.replace("\n", " "))


def _row(cells: Iterable[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _cell(text: str) -> str:
    return "'" + text if text.startswith(FORMULA) else text
