"""Times for the words of a corrected text, taken from the machine's words that remain in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from common.transcript.values import Word

# A Chinese character, or a run of letters and digits as words are written in other scripts.
SPOKEN = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]|[^\W\u3400-\u9fff\uf900-\ufaff]+(?:['’][^\W\d_]+)?")

# Pairs of equal words, of the machine's and the person's. Ordinary sentences have some hundred.
MOST_PAIRS = 20_000


def realigned(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words of `text` in order; those that the machine also heard keep their times and confidence.

    New words share the time of the words that they replace, or of the pause that they fill; their confidence is 1,
    since a person wrote them.
    """
    said = SPOKEN.findall(text)
    if not said or not words:
        return ()
    found: list[Word] = []
    before, after = [word.text.casefold() for word in words], [item.casefold() for item in said]
    for kind, first, behind, start, end in _changes(before, after):
        if kind == "equal":
            kept = zip(words[first:behind], said[start:end], strict=True)
            found += [Word(item, word.start_ms, word.end_ms, word.confidence) for word, item in kept]
        elif start < end:
            found += _shared(said[start:end], *_span(words, first, behind))
    return tuple(found)


def _changes(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """What became of the words, as `SequenceMatcher.get_opcodes` says it.

    That takes time by the square of equal pairs, and worse, and texts come from anybody: of a text that says few words
    very often only the beginning and the end are compared.
    """
    often = Counter(before)
    if sum(often[word] for word in after) <= MOST_PAIRS:
        return SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    shorter = min(len(before), len(after))
    same = [one == other for one, other in zip(before, after, strict=False)]
    head = same.index(False) if False in same else shorter
    backwards = [one == other for one, other in zip(reversed(before), reversed(after), strict=False)][: shorter - head]
    tail = backwards.index(False) if False in backwards else len(backwards)
    middle = ("replace", head, len(before) - tail, head, len(after) - tail)
    end = ("equal", len(before) - tail, len(before), len(after) - tail, len(after))
    return [("equal", 0, head, 0, head), middle, end]


def _span(words: Sequence[Word], first: int, behind: int) -> tuple[int, int]:
    """Return the start and end of the words in [`first`, `behind`), or of the pause there if there are none."""
    if first < behind:
        return words[first].start_ms, words[behind - 1].end_ms
    begin_ms = words[first - 1].end_ms if first else words[0].start_ms
    end_ms = words[first].start_ms if first < len(words) else begin_ms
    return begin_ms, max(begin_ms, end_ms)


def _shared(said: Sequence[str], begin_ms: int, end_ms: int) -> list[Word]:
    width = (end_ms - begin_ms) / len(said)
    edges = [begin_ms + round(width * place) for place in range(len(said) + 1)]
    return [Word(item, edges[place], edges[place + 1], 1.0) for place, item in enumerate(said)]
