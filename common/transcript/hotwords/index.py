"""Finds where a hotword may have been said; the cost depends on the length of the text, hardly on that of the list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from common.transcript.hotwords.entries import HAN, Hotword, plain, tokens_of
from common.transcript.hotwords.sounds import all_readings_of, difference, folded, readings_of

# Stands for any Latin word in a hotword that has Chinese characters too.
_LATIN = ""
# A hotword of so many letters is also found with so many of them wrong.
_ALLOWED_EDITS = ((8, 2), (4, 1), (0, 0))
# Only so many letters of a word are looked up, which bounds the index (the prefix of SymSpell, github.com/wolfgarbe).
_LOOKED_UP = 10
_REMEMBERED = 4_096
# Other words are looked for in their usual reading only: rare ones of two characters find too much (宁静 and 朱经).
_VARIED = range(3, 9)
_OTHER_READINGS = 3


@dataclass(frozen=True, slots=True)
class Listed:
    """A hotword, cut into words as a sentence is; `readings` of each Chinese character, the usual one first."""

    hotword: Hotword
    tokens: tuple[str, ...]
    plain: str
    readings: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hotword in place of `count` words from `first`.

    `difference` is 0 for the same sound or the same letters, and grows with the share that differs.
    """

    first: int
    count: int
    listed: Listed
    difference: float


@dataclass(slots=True)
class _Node:
    after: dict[str, _Node] = field(default_factory=dict)
    here: list[Listed] = field(default_factory=list)


class SoundIndex:
    """Hotwords with Chinese characters, as a trie of folded syllables."""

    def __init__(self, listed: Sequence[Listed]) -> None:
        self._root = _Node()
        for item in listed:
            for path in _paths(item):
                node = self._root
                for key in path:
                    node = node.after.setdefault(key, _Node())
                if item not in node.here:
                    node.here.append(item)

    def candidates(self, words: Sequence[str]) -> Iterator[Candidate]:
        """Yield where the words, which follow one another without a pause, sound like a hotword."""
        if not self._root.after:
            return
        readings = _readings(words)
        keys = [tuple(dict.fromkeys(map(folded, each))) or (_LATIN,) for each in readings]
        for first in range(len(words)):
            nodes, place = [self._root], first
            while nodes and place < len(words):
                nodes = [node.after[key] for node in nodes for key in keys[place] if key in node.after]
                place += 1
                for item in {id(item): item for node in nodes for item in node.here}.values():
                    apart = _difference(words[first:place], readings[first:place], item)
                    if apart is not None:
                        yield Candidate(first, place - first, item, apart)


class SpellingIndex:
    """Latin hotwords, found by what is left of them without up to two letters."""

    def __init__(self, listed: Sequence[Listed]) -> None:
        self._near: dict[str, list[Listed]] = {}
        self._longest = max((len(item.plain) + allowed_edits(item.plain) for item in listed), default=0)
        for item in listed:
            for rest in _deletions(item.plain[:_LOOKED_UP], allowed_edits(item.plain)):
                self._near.setdefault(rest, []).append(item)
        self._found: dict[str, tuple[tuple[Listed, int], ...]] = {}

    def candidates(self, words: Sequence[str]) -> Iterator[Candidate]:
        """Yield where Latin words, put together, are spelled like a hotword."""
        letters = ["" if HAN.search(word) else plain(word) for word in words]
        for first in range(len(words)):
            joined = ""
            for place in range(first, len(words)):
                joined += letters[place]
                if not letters[place] or len(joined) > self._longest:
                    break
                count = place + 1 - first
                for item, edits in self._spelled_like(joined):
                    if edits == 0 or abs(count - len(item.tokens)) <= 1:
                        yield Candidate(first, count, item, 2 * edits / len(item.plain))

    def _spelled_like(self, letters: str) -> tuple[tuple[Listed, int], ...]:
        found = self._found.get(letters)
        if found is None:
            rests = _deletions(letters[:_LOOKED_UP], _ALLOWED_EDITS[0][1])
            items = {id(item): item for rest in rests for item in self._near.get(rest, ())}
            edits = ((item, _edits(letters, item.plain)) for item in items.values())
            found = tuple((item, count) for item, count in edits if count <= allowed_edits(item.plain))
            if len(self._found) < _REMEMBERED:
                self._found[letters] = found
        return found


class ExactIndex:
    """Words that are looked for as they are written, by their first token."""

    def __init__(self, listed: Sequence[tuple[tuple[str, ...], Listed]]) -> None:
        self._starting: dict[str, list[tuple[tuple[str, ...], Listed]]] = {}
        for tokens, item in listed:
            self._starting.setdefault(tokens[0], []).append((tokens, item))

    def candidates(self, words: Sequence[str]) -> Iterator[Candidate]:
        """Yield where the words are exactly those."""
        for first, word in enumerate(words):
            for tokens, item in self._starting.get(word, ()):
                if tuple(words[first : first + len(tokens)]) == tokens:
                    yield Candidate(first, len(tokens), item, 0.0)


def listed(hotword: Hotword) -> Listed:
    """Prepare a hotword."""
    tokens = tokens_of(hotword.text)
    return Listed(hotword, tokens, plain(hotword.text), _hotword_readings(tokens))


def allowed_edits(letters: str) -> int:
    """Return how many letters may be wrong."""
    return next(edits for length, edits in _ALLOWED_EDITS if len(letters) >= length)


def _hotword_readings(tokens: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    spoken = iter(all_readings_of("".join(token for token in tokens if HAN.match(token))))
    return tuple(next(spoken) if HAN.match(token) else () for token in tokens)


def _readings(words: Sequence[str]) -> list[tuple[str, ...]]:
    """Return how each Chinese character is read; nothing for other words."""
    is_han = [len(word) == 1 and HAN.match(word) is not None for word in words]
    spoken = iter(readings_of("".join(word for word, han in zip(words, is_han, strict=True) if han)))
    return [next(spoken) if han else () for han in is_han]


def _paths(item: Listed) -> Iterator[tuple[str, ...]]:
    """Yield the keys of a hotword as it is usually read, and with one character read in another way."""
    usual = tuple(folded(readings[0]) if readings else _LATIN for readings in item.readings)
    yield usual
    for place, readings in enumerate(item.readings if len(usual) in _VARIED else ()):
        for other in readings[1 : 1 + _OTHER_READINGS]:
            yield (*usual[:place], folded(other), *usual[place + 1 :])


def _difference(words: Sequence[str], readings: Sequence[tuple[str, ...]], item: Listed) -> float | None:
    """Return how far the words are from the hotword; None if one of them is not near."""
    apart = 0.0
    for word, token, said, wanted in zip(words, item.tokens, readings, item.readings, strict=True):
        if word == token:
            continue
        each = _syllables_apart(said, wanted) if said and wanted else _letters_apart(plain(word), plain(token))
        if each is None:
            return None
        apart += each
    return apart / len(words)


def _syllables_apart(said: tuple[str, ...], wanted: tuple[str, ...]) -> float | None:
    """Compare readings; another than the usual one of the hotword counts like a near sound."""
    options = [
        apart + (order > 0)
        for order, reading in enumerate(wanted)
        for other in said
        if (apart := difference(other, reading)) is not None
    ]
    return min(options, default=None)


def _letters_apart(said: str, wanted: str) -> float | None:
    edits = _edits(said, wanted)
    return None if edits > allowed_edits(wanted) else 2 * edits / max(1, len(wanted))


def _edits(said: str, wanted: str) -> int:
    """Return how many letters are wrong, missing, added, or in the order of their neighbour."""
    from rapidfuzz.distance import OSA  # only the worker has it

    return OSA.distance(said, wanted)


def _deletions(letters: str, most: int) -> set[str]:
    """Return the letters without up to `most` of them."""
    reached = latest = {letters}
    for _ in range(most):
        latest = {rest[:place] + rest[place + 1 :] for rest in latest for place in range(len(rest))}
        reached = reached | latest
    return reached
