"""Decides which words are replaced by hotwords, and replaces them.

A word is replaced only if the recogniser was not sure of it; how sure it may have been depends on the weight of the
hotword and on how near the sound is (`threshold`). Rules need no doubt, nor do words that differ in case and spaces
only, except short Latin ones: `it` is not always `IT`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from common.transcript.hotwords.entries import parsed, plain, tokens_of
from common.transcript.hotwords.index import Candidate, ExactIndex, Listed, SoundIndex, SpellingIndex, listed
from common.transcript.values import Sentence, Word, needs_space
from common.transcript.word_places import Span, word_places

# How well the text is stored; a sentence that is read back must be corrected in the same way.
_CONFIDENCE_DIGITS = 4
# Latin hotwords with fewer letters are often written like ordinary words (IT, US, WHO).
_UNMISTAKABLE = 4


def corrected(sentence: Sentence, entries: tuple[str, ...]) -> Sentence:
    """Return a sentence with hotwords in its text and words.

    Words keep their times where as many words are replaced as come in their place; otherwise the new ones divide the
    time evenly. The first new word has the recognised ones as `replaced_from`, further ones of the same place "".
    """
    corrector = _corrector(entries)
    for _ in sentence.words:
        # A word that has become a hotword is not changed again, but may help to find the next.
        again = corrector.corrected_once(sentence)
        if again is sentence:
            break
        sentence = again
    return corrector.recased(sentence)


def restored(words: Iterable[Word]) -> tuple[Word, ...]:
    """Return words as they were recognised; where their number changed, they divide the time evenly."""
    found: list[Word] = []
    group: list[Word] = []
    for word in words:
        if word.replaced_from == "" and group:
            group.append(word)
            continue
        found += _undone(group)
        group = [word] if word.replaced_from else []
        if not group:
            found.append(word)
    return (*found, *_undone(group))


def threshold(weight: int, difference: float) -> float:
    """Return the confidence below which recognised words give way to a hotword of this weight, 1 to 10."""
    return 0.55 + 0.07 * weight - 0.6 * difference


@dataclass(frozen=True, slots=True)
class _Line:
    """The words of a sentence with their places in its text."""

    text: str
    words: tuple[Word, ...]
    places: tuple[Span | None, ...]

    @classmethod
    def of(cls, sentence: Sentence) -> _Line:
        places = tuple(place for _, place in word_places(sentence.words, sentence.text))
        return cls(sentence.text, sentence.words, places)

    def runs(self) -> Iterator[tuple[int, int]]:
        """Yield stretches of words, as first and end, that only spaces separate; words not in the text are in none."""
        first = 0
        for number in range(1, len(self.words) + 1):
            if number == len(self.words) or not self._adjacent(number):
                if self.places[first] is not None:
                    yield first, number
                first = number

    def _adjacent(self, number: int) -> bool:
        before, after = self.places[number - 1], self.places[number]
        return before is not None and after is not None and not self.text[before[1] : after[0]].strip()


class _Corrector:
    """The prepared hotwords of a job."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        every = [parsed(entry) for entry in entries]
        heaviest = {
            hotword.text: hotword
            for hotword in sorted(every, key=lambda item: (item.text, item.weight))
            if hotword.wrong is None
        }
        words = [listed(hotword) for hotword in heaviest.values()]
        rules = [listed(hotword) for hotword in every if hotword.wrong is not None]
        self._kept = ExactIndex([(item.tokens, item) for item in (*words, *rules)])
        self._rules = ExactIndex(
            [(tuple(map(str.casefold, tokens_of(item.hotword.wrong or ""))), item) for item in rules]
        )
        self._sounds = SoundIndex([item for item in words if any(item.readings)])
        self._spellings = SpellingIndex([item for item in words if not any(item.readings)])

    def corrected_once(self, sentence: Sentence) -> Sentence:
        """Replace what does not overlap, the longest and best first; the same object if there is nothing."""
        line = _Line.of(sentence)
        kept = self._kept_in(line)
        candidates: list[Candidate] = []
        for first, end in line.runs():
            texts = [word.text for word in line.words[first:end]]
            candidates += [replace(item, first=first + item.first) for item in self._candidates(texts)]
        chosen = _chosen([item for item in candidates if _wins(item, line.words, kept)])
        return _applied(sentence, line, chosen) if chosen else sentence

    def recased(self, sentence: Sentence) -> Sentence:
        """Give hotwords their capitals in the text too: punctuation writes `Gpu` where a sentence begins with `GPU`."""
        line = _Line.of(sentence)
        text = sentence.text
        for number in self._kept_in(line):
            word, place = sentence.words[number].text, line.places[number]
            if place is not None and word != word.lower():
                text = text[: place[0]] + word + text[place[1] :]
        return sentence if text == sentence.text else replace(sentence, text=text)

    def _kept_in(self, line: _Line) -> set[int]:
        """Return the numbers of the words that are hotwords."""
        kept: set[int] = set()
        for first, end in line.runs():
            for item in self._kept.candidates([word.text for word in line.words[first:end]]):
                kept.update(range(first + item.first, first + item.first + item.count))
        return kept

    def _candidates(self, texts: Sequence[str]) -> Iterator[Candidate]:
        yield from self._rules.candidates([text.casefold() for text in texts])
        yield from self._sounds.candidates(texts)
        yield from self._spellings.candidates(texts)


@lru_cache(32)
def _corrector(entries: tuple[str, ...]) -> _Corrector:
    return _Corrector(entries)


def _changed(candidate: Candidate, words: Sequence[Word]) -> list[int]:
    """Return the numbers of the words that would change."""
    numbers = range(candidate.first, candidate.first + candidate.count)
    tokens = candidate.listed.tokens
    if len(tokens) != candidate.count:
        return list(numbers)
    return [number for number, token in zip(numbers, tokens, strict=True) if words[number].text != token]


def _wins(candidate: Candidate, words: Sequence[Word], kept: set[int]) -> bool:
    """Whether a hotword takes the place of the words: they are no hotwords, and doubtful enough."""
    changed = _changed(candidate, words)
    if not changed or not kept.isdisjoint(changed):
        return False
    hotword = candidate.listed.hotword
    recognised = plain("".join(word.text for word in _span(candidate, words)))
    if hotword.wrong is not None or (recognised == candidate.listed.plain and _unmistakable(candidate.listed)):
        return True
    confidence = sum(round(words[number].confidence, _CONFIDENCE_DIGITS) for number in changed) / len(changed)
    return round(confidence, _CONFIDENCE_DIGITS) < threshold(hotword.weight, candidate.difference)


def _unmistakable(item: Listed) -> bool:
    return any(item.readings) or len(item.plain) >= _UNMISTAKABLE


def _chosen(candidates: list[Candidate]) -> list[Candidate]:
    """Return candidates that do not overlap, in their order: rules first, then the longest, then the nearest."""
    taken: set[int] = set()
    chosen = []
    for item in sorted(candidates, key=_order):
        numbers = range(item.first, item.first + item.count)
        if taken.isdisjoint(numbers):
            taken.update(numbers)
            chosen.append(item)
    return sorted(chosen, key=lambda item: item.first)


def _order(item: Candidate) -> tuple[bool, int, float, int, int, str]:
    hotword = item.listed.hotword
    by_rule = hotword.wrong is not None
    length = len(plain(hotword.wrong or hotword.text))
    return not by_rule, -length, item.difference, -hotword.weight, item.first, hotword.text


def _applied(sentence: Sentence, line: _Line, chosen: Sequence[Candidate]) -> Sentence:
    words: list[Word] = []
    pieces: list[str] = []
    reached = number = 0
    for item in chosen:
        span = _span(item, line.words)
        start, end = _place(line, item)
        words += (*line.words[number : item.first], *_new_words(item, span, line.text[start:end]))
        number = item.first + item.count
        pieces += [line.text[reached:start], item.listed.hotword.text]
        reached = end
    pieces.append(line.text[reached:])
    return replace(sentence, text=_spaced(pieces), words=(*words, *line.words[number:]))


def _place(line: _Line, item: Candidate) -> Span:
    first, last = line.places[item.first], line.places[item.first + item.count - 1]
    assert first is not None
    assert last is not None
    return first[0], last[1]


def _new_words(item: Candidate, span: Sequence[Word], recognised: str) -> list[Word]:
    tokens = item.listed.tokens
    if len(tokens) == len(span):
        return [
            word if word.text == token else replace(word, text=token, replaced_from=word.text)
            for word, token in zip(span, tokens, strict=True)
        ]
    return _divided(tokens, span, [recognised, *[""] * (len(tokens) - 1)])


def _undone(group: Sequence[Word]) -> list[Word]:
    if not group:
        return []
    recognised = group[0].replaced_from or ""
    tokens = tokens_of(recognised)
    if len(tokens) == len(group) == 1:
        return [replace(group[0], text=recognised, replaced_from=None)]
    return _divided(tokens, group, [None] * len(tokens))


def _divided(tokens: Sequence[str], span: Sequence[Word], origins: Sequence[str | None]) -> list[Word]:
    """Return words that share the time of others evenly, with their mean confidence."""
    start, length = span[0].start_ms, span[-1].end_ms - span[0].start_ms
    edges = [start + length * number // len(tokens) for number in range(len(tokens) + 1)]
    confidence = round(sum(word.confidence for word in span) / len(span), _CONFIDENCE_DIGITS)
    return [
        Word(token, edges[number], edges[number + 1], confidence, replaced_from=origins[number])
        for number, token in enumerate(tokens)
    ]


def _span(item: Candidate, words: Sequence[Word]) -> Sequence[Word]:
    return words[item.first : item.first + item.count]


def _spaced(pieces: Iterable[str]) -> str:
    """Join pieces of a text, with a space where a new Latin word would touch another."""
    text = ""
    for piece in pieces:
        touching = text[-1:].isalnum() and needs_space(text, piece)
        text += (" " if touching else "") + piece
    return text
