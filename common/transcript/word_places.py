"""Where the words of a sentence stand in its text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from common.transcript.values import Word

Span = tuple[int, int]


def word_places(words: Iterable[Word], text: str) -> Iterator[tuple[Word, Span | None]]:
    """Yield each word with its place in the text; None for a word that is not there.

    Case does not matter: punctuation capitalises the first word of a sentence (`gpu` and `GPU` become `Gpu`).
    """
    reached = 0
    text = _lower(text)
    for word in words:
        place = text.find(_lower(word.text), reached)
        if place < 0:
            yield word, None
            continue
        reached = place + len(word.text)
        yield word, (place, reached)


def _lower(text: str) -> str:
    """Return the text in lower case, as long as before."""
    return "".join(low if len(low := char.lower()) == 1 else char for char in text)
