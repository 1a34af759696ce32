"""Times for the words of a corrected text, taken from the machine's words that remain in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher

from common.transcript.scripts import CHINESE_CHARACTERS
from common.transcript.values import Sentence, Word

# A Chinese character, or a run of letters and digits as words are written in other scripts.
SPOKEN = re.compile(rf"[{CHINESE_CHARACTERS}]|[^\W{CHINESE_CHARACTERS}]+(?:['’][^\W\d_]+)?")

# Pairs of equal words, of the machine's and the person's. Ordinary sentences have some hundred.
MOST_PAIRS = 4_000


def words_of(sentence: Sentence) -> tuple[Word, ...]:
    """Return the words of a sentence's text, which a person or the options of its job may have changed, with times."""
    edit = sentence.edit if sentence.edit is not None and sentence.text == sentence.edit.text else None
    if edit is None and sentence.spoken is None:
        return sentence.words
    stored = edit.words if edit is not None else None
    # A process of an older version replaces the text without its words.
    if stored is not None and [word.text for word in stored] == SPOKEN.findall(sentence.text):
        return stored
    return realigned(sentence.text, sentence.words)


def realigned(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Return the words of `text` in order; words that were also recognised keep their times and confidence.

    New words share the time of the words they replace, or of the pause they fill; their confidence is 1, because a
    person wrote them.
    """
    letters = SPOKEN.findall(text)
    if not letters or not words:
        return ()
    aligned: list[Word] = []
    before, after = [word.text.casefold() for word in words], [item.casefold() for item in letters]
    for kind, first, behind, start, end in _changes(before, after):
        if kind == "equal":
            kept = zip(words[first:behind], letters[start:end], strict=True)
            aligned += [Word(item, word.start_ms, word.end_ms, word.confidence) for word, item in kept]
        elif start < end:
            aligned += _shared(letters[start:end], *_span(words, first, behind))
    return tuple(aligned)


def _changes(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """Return the differences in the form of `SequenceMatcher.get_opcodes`.

    Its running time is quadratic or worse in equal pairs, and texts are untrusted: of a text with many repetitions only
    the beginning and the end are compared.
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


def _shared(letters: Sequence[str], begin_ms: int, end_ms: int) -> list[Word]:
    width = (end_ms - begin_ms) / len(letters)
    edges = [begin_ms + round(width * place) for place in range(len(letters) + 1)]
    return [Word(item, edges[place], edges[place + 1], 1.0) for place, item in enumerate(letters)]
