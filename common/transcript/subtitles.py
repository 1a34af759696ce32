"""Sentences as subtitles: cues that can be read, in the order of their starts.

Where a sentence is broken is the cheapest way over its words: not inside a word (rjieba tells which characters are
one), rather behind punctuation or a pause, in pieces of about the same width. What is too short for a cue of its own
is shown together with its neighbour, and stays on the screen while nothing else is said.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from common.transcript.realign import realigned
from common.transcript.values import Sentence, Word

CHARACTERS_CHINESE, CHARACTERS_LATIN = 16, 42
LEAST_MS = 1000
LEAST_CHARACTERS = 3
# Sentences nearer than this may share a cue.
JOIN_MS = 1500
PAUSE_MS = 300
# Parts are told one after the other: a sentence of one channel may begin so much before what was told of another.
HOLD_MS = 120_000
STOPS, COMMAS = "。！？!?…", "，、；：,;:"
# What a break costs, in the square of a share of the width that is left empty.
INSIDE_WORD, NO_PUNCTUATION, BEHIND_COMMA = 4.0, 1.5, 0.15
IN_A_PAUSE = -0.4
TOO_SHORT, TOO_LONG = 8.0, 8.0
PER_CUE = 0.3


@dataclass(frozen=True, slots=True)
class SubtitleOptions:
    """How subtitles look. max_chars: of a line; None: 16 for Chinese, 42 for Latin letters, which are half as wide.

    speakers: whether cues begin with their channel; None: where there are several.
    """

    max_chars: int | None = None
    max_lines: int = 1
    max_seconds: float = 7.0
    speakers: bool | None = None


@dataclass(frozen=True, slots=True)
class Cue:
    """What stands on the screen for a while, in one or more lines."""

    lines: tuple[str, ...]
    start_ms: int
    end_ms: int
    channel: int = 0

    @property
    def text(self) -> str:
        """All of it in one line."""
        return " ".join(self.lines) if self.lines and self.lines[0].isascii() else "".join(self.lines)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word with the text up to the next one. `breakable`: a cue may end behind it without cutting a word."""

    text: str
    start_ms: int
    end_ms: int
    breakable: bool = True


def subtitles(sentences: Iterable[Sentence], options: SubtitleOptions, *, channels: int = 1) -> Iterator[Cue]:
    """The cues of all sentences, by their starts; within a channel they do not overlap."""
    makers: dict[int, _Channel] = {}
    waiting: list[tuple[int, int, int, Cue]] = []
    numbers = itertools.count()

    def wait(cues: Iterable[Cue]) -> None:
        for cue in cues:
            heapq.heappush(waiting, (cue.start_ms, cue.channel, next(numbers), cue))

    for sentence in sentences:
        maker = makers.setdefault(sentence.channel, _Channel(options))
        wait(maker.add(sentence))
        told_until = min(item.held_from(sentence.start_ms) for item in makers.values()) - HOLD_MS
        while waiting and (channels == 1 or waiting[0][0] < told_until):
            yield heapq.heappop(waiting)[3]
    for maker in makers.values():
        wait(maker.finish())
    while waiting:
        yield heapq.heappop(waiting)[3]


class _Channel:
    """Makes cues of one channel's sentences; holds back what may still grow."""

    def __init__(self, options: SubtitleOptions) -> None:
        self._options = options
        self._block: list[_Piece] = []
        self._channel = 0
        self._last: Cue | None = None
        self._shown_until = 0

    def held_from(self, now_ms: int) -> int:
        """No cue that comes later begins before this."""
        starts = [self._last.start_ms] if self._last else []
        return min([now_ms, *starts, *(piece.start_ms for piece in self._block[:1])])

    def add(self, sentence: Sentence) -> Iterator[Cue]:
        """The next sentence; gives the cues that are finished."""
        self._channel = sentence.channel
        pieces = _pieces(sentence)
        if not pieces:
            return
        if self._block and not (0 <= pieces[0].start_ms - self._block[-1].end_ms < JOIN_MS):
            yield from self._flush()
        self._block += _apart(self._block, pieces)
        if not _too_short(self._block):
            yield from self._flush()

    def finish(self) -> Iterator[Cue]:
        """The end."""
        yield from self._flush()
        if self._last is not None:
            yield self._lengthened(self._last, None)

    def _flush(self) -> Iterator[Cue]:
        block, self._block = self._block, []
        for pieces in _broken(block, self._options):
            cue = _cue(pieces, self._options, self._channel)
            if self._last is not None:
                yield self._lengthened(self._last, cue)
            self._last = cue

    def _lengthened(self, cue: Cue, following: Cue | None) -> Cue:
        """Shown for a second at least, as far as its neighbours leave room, and never together with them."""
        latest = following.start_ms if following is not None else max(cue.end_ms, cue.start_ms + LEAST_MS)
        start = max(cue.start_ms, self._shown_until)
        end = max(min(cue.end_ms, latest), min(start + LEAST_MS, latest))
        if end - start < LEAST_MS:
            start = max(min(start, end - LEAST_MS), self._shown_until, 0)
        self._shown_until = max(end, start + 1)
        return replace(cue, start_ms=start, end_ms=self._shown_until)


def _apart(before: list[_Piece], pieces: list[_Piece]) -> list[_Piece]:
    """With a space where two sentences of Latin letters meet."""
    if before and before[-1].text[-1:].isascii() and pieces[0].text[:1].isascii():
        return [replace(pieces[0], text=" " + pieces[0].text), *pieces[1:]]
    return pieces


def _too_short(pieces: list[_Piece]) -> bool:
    letters = sum(character.isalnum() for piece in pieces for character in piece.text)
    return letters < LEAST_CHARACTERS or pieces[-1].end_ms - pieces[0].start_ms < LEAST_MS


def _pieces(sentence: Sentence) -> list[_Piece]:
    """The words of a sentence with their punctuation; of a text that is not made of its words, its characters."""
    corrected = sentence.edit is not None and sentence.text == sentence.edit.text
    words = realigned(sentence.text, sentence.words) if corrected else sentence.words
    parts = _parts(sentence.text, words) or _evenly(sentence)
    ends = list(itertools.accumulate(len(text) for text, _, _ in parts))
    inside = _inside_words(sentence.text)
    return [
        _Piece(text, start, end, breakable=place not in inside)
        for (text, start, end), place in zip(parts, ends, strict=True)
    ]


def _parts(text: str, words: Iterable[Word]) -> list[tuple[str, int, int]]:
    found: list[tuple[int, Word]] = []
    reached = 0
    for word in words:
        place = text.find(word.text, reached)
        if place < 0:
            return []
        found.append((place if found else 0, word))
        reached = place + len(word.text)
    ends = [place for place, _ in found[1:]] + [len(text)]
    return [(text[start:end], word.start_ms, word.end_ms) for (start, word), end in zip(found, ends, strict=True)]


def _evenly(sentence: Sentence) -> list[tuple[str, int, int]]:
    """Characters that share the time of the sentence."""
    text = sentence.text.strip()
    step = (sentence.end_ms - sentence.start_ms) / max(1, len(text))
    start = sentence.start_ms
    return [(sign, start + round(i * step), start + round((i + 1) * step)) for i, sign in enumerate(text)]


def _inside_words(text: str) -> set[int]:
    """The places in a text that lie inside a word."""
    inside: set[int] = set()
    place = 0
    for word in _segmenter()(text):
        inside.update(range(place + 1, place + len(word)))
        place += len(word)
    return inside


@cache
def _segmenter() -> Callable[[str], list[str]]:
    import rjieba  # type: ignore[import-not-found, unused-ignore]  # loads its dictionary: only where it is used

    cut: Callable[[str], list[str]] = rjieba.cut
    return cut


def width(text: str) -> int:
    """Columns on a screen: a Chinese character takes two."""
    return sum(1 if character.isascii() else 2 for character in text)


def line_width(text: str, options: SubtitleOptions) -> int:
    """How many columns a line of such a text may have."""
    chinese = sum(not character.isascii() for character in text) * 4 > len(text)
    if chinese:
        return 2 * (options.max_chars or CHARACTERS_CHINESE)
    return options.max_chars or CHARACTERS_LATIN


def _broken(pieces: list[_Piece], options: SubtitleOptions) -> list[list[_Piece]]:
    """The cheapest way to cut a block into cues."""
    if not pieces:
        return []
    line = line_width("".join(piece.text for piece in pieces), options)
    room = line * options.max_lines
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(pieces) + 1):
        cheapest: tuple[float, int] = (float("inf"), end - 1)
        columns = 0
        for start in range(end - 1, -1, -1):
            columns += width(pieces[start].text)
            if columns > room + _hanging(pieces[end - 1].text) and start < end - 1:
                break
            cost = best[start][0] + _cost(pieces, start, end, columns / room, options)
            cheapest = min(cheapest, (cost, start))
        best.append(cheapest)
    cuts = [len(pieces)]
    while cuts[-1] > 0:
        cuts.append(best[cuts[-1]][1])
    cuts.reverse()
    return [pieces[start:end] for start, end in itertools.pairwise(cuts)]


def _hanging(text: str) -> int:
    """White space at the end of a line is not seen."""
    return width(text) - width(text.rstrip())


def _cost(pieces: list[_Piece], start: int, end: int, filled: float, options: SubtitleOptions) -> float:
    """Of one cue: how empty it is, where it ends, how long it stands."""
    cue = pieces[start:end]
    cost = PER_CUE + (1.0 - filled) ** 2
    if len(pieces) > len(cue) and _too_short(cue):
        cost += TOO_SHORT
    duration_ms = cue[-1].end_ms - cue[0].start_ms
    if duration_ms > options.max_seconds * 1000:
        cost += TOO_LONG * duration_ms / (options.max_seconds * 1000)
    return cost + (_break_cost(pieces, end) if end < len(pieces) else 0.0)


def _break_cost(pieces: list[_Piece], end: int) -> float:
    last = pieces[end - 1]
    sign = last.text.rstrip()[-1:]
    cost = 0.0 if sign in STOPS else BEHIND_COMMA if sign in COMMAS else NO_PUNCTUATION
    if not last.breakable:
        cost += INSIDE_WORD
    if pieces[end].start_ms - last.end_ms >= PAUSE_MS:
        cost += IN_A_PAUSE
    return cost


def _cue(pieces: list[_Piece], options: SubtitleOptions, channel: int) -> Cue:
    text = "".join(piece.text for piece in pieces).strip()
    lines: tuple[str, ...] = (text,)
    if options.max_lines > 1 and width(text) > line_width(text, options):
        halves = _halved(pieces)
        lines = tuple("".join(piece.text for piece in half).strip() for half in halves)
    return Cue(lines, pieces[0].start_ms, max(pieces[-1].end_ms, pieces[0].start_ms + 1), channel)


def _halved(pieces: list[_Piece]) -> tuple[list[_Piece], list[_Piece]]:
    """Two lines of about the same width, broken where it hurts least."""
    whole = sum(width(piece.text) for piece in pieces)

    def cost(cut: int) -> float:
        left = sum(width(piece.text) for piece in pieces[:cut])
        return float((2 * left / whole - 1) ** 2 * 3 + _break_cost(pieces, cut))

    cut = min(range(1, len(pieces)), key=cost, default=len(pieces))
    return pieces[:cut], pieces[cut:]
