"""Sentences made of the words of the machine's sentences, wherever people put their boundaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from common.transcript.cuts import text_place, without_rules
from common.transcript.sentence_numbers import number_at
from common.transcript.values import Sentence, Word, joined_text, merged


@dataclass(frozen=True, slots=True)
class Slice:
    """The words [`first`, `behind`) of a machine's sentence."""

    machine: Sentence
    first: int
    behind: int

    @property
    def words(self) -> tuple[Word, ...]:
        """The machine's words, without what people made of them."""
        return self.machine.words[self.first : self.behind]

    @property
    def whole(self) -> bool:
        """Whether these are all words of the sentence."""
        return self.first == 0 and self.behind == len(self.machine.words)

    def text(self, of: Callable[[Sentence], Sentence] = lambda machine: machine) -> str:
        """The text of the words; `of` chooses which text of the sentence."""
        machine = of(self.machine)
        start, end = text_place(machine, self.first), len(machine.text)
        if self.behind < len(machine.words):
            end = text_place(machine, self.behind)
        return machine.text[start:end].strip()


Span = tuple[Slice, ...]
"""What a sentence is made of, in order."""


def cut(span: Span, word: int) -> tuple[Span, Span, int]:
    """Cut a span before its word `word`; returns both, and the number of the sentence that begins there.

    Raises ValueError if no sentence can begin there.
    """
    left: list[Slice] = []
    for place, piece in enumerate(span):
        length = piece.behind - piece.first
        if word < length:
            middle = piece.first + word
            left += [replace(piece, behind=middle)] if word else []
            right = (replace(piece, first=middle), *span[place + 1 :])
            return tuple(left), right, number_at(piece.machine.number or 0, middle)
        left.append(piece)
        word -= length
    raise ValueError("the span ends before that word")


def spoken_in(span: Span, speakers: Sequence[int | None], speaker: int | None) -> Sentence:
    """Return what was recognised in a span, as the sentence of a speaker; `speakers` are those of its words."""
    words = tuple(word for piece in span for word in piece.words)
    told = zip(words, speakers, strict=True)
    own = tuple(replace(word, speaker=who if who != speaker else None) for word, who in told)
    first, last = span[0], span[-1]
    if len(span) == 1 and first.whole:
        return replace(first.machine, words=own, speaker=speaker)
    text = joined_text(_texts(span, [piece.text() for piece in span]))
    spoken = joined_text(_texts(span, [piece.text(without_rules) for piece in span]))
    return replace(
        first.machine,
        text=text,
        spoken=None if spoken == text else spoken,
        start_ms=first.machine.start_ms if first.first == 0 else words[0].start_ms,
        end_ms=last.machine.end_ms if last.behind == len(last.machine.words) else words[-1].end_ms,
        confidence=round(sum(word.confidence for word in words) / len(words), 4),
        words=own,
        speaker=speaker,
        tags=merged(piece.machine.tags for piece in span),
    )


def _texts(span: Span, texts: Sequence[str]) -> list[Sentence]:
    return [replace(piece.machine, text=text) for piece, text in zip(span, texts, strict=True)]
