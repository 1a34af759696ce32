"""Where a sentence is cut in two: the place in its text that belongs to a place between its words, and the reverse."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

from common.transcript.realign import words_of
from common.transcript.values import Sentence
from common.transcript.word_places import Span, word_places

# Signs that belong to the word behind them.
OPENING = "（《〈“‘「『【〔([{<«¿¡$￥¥€£#@"


def text_place(sentence: Sentence, word: int) -> int:
    """Return the place in the sentence's text at which the text of its words from `word` on begins.

    It is the text's length if nothing of the text was said from there on.
    """
    if word <= 0:
        return 0
    placed = list(_placed(sentence))
    for place, (first, span) in enumerate(placed):
        if first >= word:
            behind = placed[place - 1][1][1] if place else 0
            return _before_opening(sentence.text, behind, span[0])
    return len(sentence.text)


def cut_near(sentence: Sentence, character: int) -> tuple[int, int]:
    """Return the boundary of words nearest to a place in the text: the word that begins there, and the place.

    Closing punctuation stays with the word before it. The word is one of `sentence.words`, or their number at the end.
    """
    placed = list(_placed(sentence))
    behind = 0
    for first, (start, end) in placed:
        if character <= start or character - start <= end - character:
            return first, _before_opening(sentence.text, behind, start)
        behind = end
    return len(sentence.words), len(sentence.text)


def without_rules(sentence: Sentence) -> Sentence:
    """Return a machine's sentence with the text as it was recognised, for `text_place`."""
    return sentence if sentence.spoken is None else replace(sentence, text=sentence.spoken, spoken=None)


def _before_opening(text: str, behind: int, start: int) -> int:
    """Move a place back over signs that open what begins there, as far as the word before, which ends at `behind`."""
    while start > behind and text[start - 1] in OPENING:
        start -= 1
    return start


def _placed(sentence: Sentence) -> Iterator[tuple[int, Span]]:
    """Yield where the words of the text stand, each with the first of the sentence's own words that it stands for."""
    words = words_of(sentence)
    placed = word_places(words, sentence.text)
    if words is sentence.words:
        yield from ((number, span) for number, (_, span) in enumerate(placed) if span is not None)
        return
    starts = list(accumulate((word.start_ms for word in sentence.words), max))
    yield from ((bisect_left(starts, word.start_ms), span) for word, span in placed if span is not None)
