"""Sentences as subtitles: readable cues, ordered by start time.

Line breaks minimize a cost over the words of a sentence: not inside a word (rjieba determines which Chinese characters
form one), preferably after punctuation or at a pause, in pieces of about equal width. Text too short for a cue of its
own is shown with its neighbour, and stays on screen while nothing else is said.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache

from common.transcript.realign import words_of
from common.transcript.scripts import is_hangul, is_spaced
from common.transcript.values import Sentence, Word, needs_space
from common.transcript.word_places import word_places

CHARACTERS_CHINESE, CHARACTERS_LATIN = 16, 42
LEAST_MS = 1000
LEAST_CHARACTERS = 3
# Sentences closer than this may share a cue.
JOIN_MS = 1500
PAUSE_MS = 300
# Parts are reported one after the other: a sentence of one channel may start this much before the reported sentences of
# another.
HOLD_MS = 120_000
STOPS, COMMAS = "。！？!?…", "，、；：,;:"
# The cost of a break, in the unit of (unused share of the width)².
INSIDE_WORD, NO_PUNCTUATION, BEHIND_COMMA = 4.0, 1.5, 0.15
IN_A_PAUSE = -0.4
TOO_SHORT, TOO_LONG = 8.0, 8.0
PER_CUE = 0.3


@dataclass(frozen=True, slots=True)
class SubtitleOptions:
    """Layout of subtitles, and what lines and paragraphs of other formats begin with.

    `max_chars` is per line; None: 16 for Chinese, 42 for Latin letters, which are half as wide. `speakers`: whether
    they start with their speaker or channel; None: if speakers are known, or there are several channels. `times`:
    whether lines of txt and paragraphs of md and docx start with their time; None: paragraphs do.
    """

    max_chars: int | None = None
    max_lines: int = 1
    max_seconds: float = 7.0
    speakers: bool | None = None
    times: bool | None = None


@dataclass(frozen=True, slots=True)
class Cue:
    """One or more lines shown on screen for a while."""

    lines: tuple[str, ...]
    start_ms: int
    end_ms: int
    channel: int = 0
    speaker: int | None = None

    @property
    def text(self) -> str:
        """The lines joined into one."""
        return " ".join(self.lines) if self.lines and all(map(is_spaced, self.lines[0])) else "".join(self.lines)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word with the text up to the next one; `breakable`: a cue may end after it without splitting a word."""

    text: str
    start_ms: int
    end_ms: int
    breakable: bool = True


def subtitles(sentences: Iterable[Sentence], options: SubtitleOptions, *, channels: int = 1) -> Iterator[Cue]:
    """Yield the cues of all sentences by start time; within a channel they do not overlap."""
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
    """Makes the cues of one channel's sentences; holds back cues that may still grow."""

    def __init__(self, options: SubtitleOptions) -> None:
        self._options = options
        self._block: list[_Piece] = []
        self._channel = 0
        self._speaker: int | None = None
        self._last: Cue | None = None
        self._shown_until = 0

    def held_from(self, now_ms: int) -> int:
        """Return a time before which no later cue of this channel starts."""
        starts = [self._last.start_ms] if self._last else []
        return min([now_ms, *starts, *(piece.start_ms for piece in self._block[:1])])

    def add(self, sentence: Sentence) -> Iterator[Cue]:
        """Add the next sentence; yields finished cues."""
        self._channel = sentence.channel
        pieces = _pieces(sentence)
        if not pieces:
            return
        if sentence.speaker != self._speaker:
            yield from self._flush()
            self._speaker = sentence.speaker
        if self._block and not (0 <= pieces[0].start_ms - self._block[-1].end_ms < JOIN_MS):
            yield from self._flush()
        self._block += _apart(self._block, pieces)
        if not _too_short(self._block):
            yield from self._flush()

    def finish(self) -> Iterator[Cue]:
        """Yield the remaining cues."""
        yield from self._flush()
        if self._last is not None:
            yield self._lengthened(self._last, None)

    def _flush(self) -> Iterator[Cue]:
        block, self._block = self._block, []
        for pieces in _broken(block, self._options):
            cue = replace(_cue(pieces, self._options, self._channel), speaker=self._speaker)
            if self._last is not None:
                yield self._lengthened(self._last, cue)
            self._last = cue

    def _lengthened(self, cue: Cue, following: Cue | None) -> Cue:
        """Return a cue shown for at least a second, as far as its neighbours leave room, without overlapping them."""
        latest = following.start_ms if following is not None else max(cue.end_ms, cue.start_ms + LEAST_MS)
        start = max(cue.start_ms, self._shown_until)
        end = max(min(cue.end_ms, latest), min(start + LEAST_MS, latest))
        if end - start < LEAST_MS:
            start = max(min(start, end - LEAST_MS), self._shown_until, 0)
        self._shown_until = max(end, start + 1)
        return replace(cue, start_ms=start, end_ms=self._shown_until)


def _apart(before: list[_Piece], pieces: list[_Piece]) -> list[_Piece]:
    """Insert a space where two sentences of Latin letters meet."""
    if before and needs_space(before[-1].text, pieces[0].text):
        return [replace(pieces[0], text=" " + pieces[0].text), *pieces[1:]]
    return pieces


def _too_short(pieces: list[_Piece]) -> bool:
    letters = sum(character.isalnum() for piece in pieces for character in piece.text)
    return letters < LEAST_CHARACTERS or pieces[-1].end_ms - pieces[0].start_ms < LEAST_MS


def _pieces(sentence: Sentence) -> list[_Piece]:
    """Split a sentence into words with punctuation, or into characters if its text does not match its words."""
    parts = _parts(sentence.text, words_of(sentence)) or _evenly(sentence)
    ends = list(itertools.accumulate(len(text) for text, _, _ in parts))
    inside = _inside_words(sentence.text)
    return [
        _Piece(text, start, end, breakable=place not in inside)
        for (text, start, end), place in zip(parts, ends, strict=True)
    ]


def _parts(text: str, words: Iterable[Word]) -> list[tuple[str, int, int]]:
    placed = list(word_places(words, text))
    starts = [place[0] for _, place in placed if place is not None]
    if not placed or len(starts) < len(placed):
        return []
    edges = itertools.pairwise([0, *starts[1:], len(text)])
    bounded = zip(placed, edges, strict=True)
    return [(text[start:end], word.start_ms, word.end_ms) for (word, _), (start, end) in bounded]


def _evenly(sentence: Sentence) -> list[tuple[str, int, int]]:
    """Split a sentence into characters, spread evenly over its duration."""
    text = sentence.text.strip()
    step = (sentence.end_ms - sentence.start_ms) / max(1, len(text))
    start = sentence.start_ms
    return [(sign, start + round(i * step), start + round((i + 1) * step)) for i, sign in enumerate(text)]


def _inside_words(text: str) -> set[int]:
    """Return the positions in a text that lie inside a word."""
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
    """Return the display width in columns; a Chinese character or a Korean syllable takes two."""
    return sum(1 if is_spaced(character) and not is_hangul(character) else 2 for character in text)


def line_width(text: str, options: SubtitleOptions) -> int:
    """Return the maximum number of columns of a line of such a text."""
    chinese = sum(not is_spaced(character) for character in text) * 4 > len(text)
    if chinese:
        return 2 * (options.max_chars or CHARACTERS_CHINESE)
    return options.max_chars or CHARACTERS_LATIN


def _broken(pieces: list[_Piece], options: SubtitleOptions) -> list[list[_Piece]]:
    """Split a block into cues at the lowest cost."""
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
    """Return the width of trailing white space, which is invisible at the end of a line."""
    return width(text) - width(text.rstrip())


def _cost(pieces: list[_Piece], start: int, end: int, filled: float, options: SubtitleOptions) -> float:
    """Return the cost of one cue: its unused width, where it ends, and how long it is shown."""
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
    """Split into two lines of about equal width, at the break of lowest cost."""
    whole = sum(width(piece.text) for piece in pieces)

    def cost(cut: int) -> float:
        left = sum(width(piece.text) for piece in pieces[:cut])
        return float((2 * left / whole - 1) ** 2 * 3 + _break_cost(pieces, cut))

    cut = min(range(1, len(pieces)), key=cost, default=len(pieces))
    return pieces[:cut], pieces[cut:]
