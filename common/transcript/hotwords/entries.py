"""Hotwords as clients write them: `word`, `word:weight`, or a rule `wrong=>right`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from common.transcript.scripts import CHINESE_CHARACTERS

SHORTEST, LONGEST = 2, 30
LIGHTEST, HEAVIEST, DEFAULT_WEIGHT = 1, 10, 5
HAN = re.compile(f"[{CHINESE_CHARACTERS}]")
_TOKEN = re.compile(rf"[{CHINESE_CHARACTERS}]|[^\s{CHINESE_CHARACTERS}]+")
_WEIGHTED = re.compile(r"(?P<word>.*\S)\s*:\s*(?P<weight>[0-9]{1,3})", re.DOTALL)
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f*,，、。？！；]")


@dataclass(frozen=True, slots=True)
class Hotword:
    """A word to recognise; if `wrong` is given, a rule that replaces exactly this by it."""

    text: str
    weight: int = DEFAULT_WEIGHT
    wrong: str | None = None


def parsed(entry: str) -> Hotword:
    """Parse one entry. Raises ValueError, with a message for the client."""
    if "=>" in entry:
        wrong, _, right = entry.partition("=>")
        rule = Hotword(_checked(right), wrong=_checked(wrong))
        if rule.text == rule.wrong:
            raise ValueError(f"{entry!r} replaces a word by itself")
        return rule
    weighted = _WEIGHTED.fullmatch(entry)
    if weighted is None:
        return Hotword(_checked(entry))
    weight = int(weighted["weight"])
    if not LIGHTEST <= weight <= HEAVIEST:
        raise ValueError(f"the weight of {weighted['word']!r} must be {LIGHTEST} to {HEAVIEST}")
    return Hotword(_checked(weighted["word"]), weight)


def check_together(entries: list[str]) -> None:
    """Raise ValueError if a rule replaces a word that another entry asks for."""
    hotwords = [parsed(entry) for entry in entries]
    wanted = {hotword.text for hotword in hotwords}
    for hotword in hotwords:
        if hotword.wrong in wanted:
            raise ValueError(f"{hotword.wrong!r} is both a hotword and replaced by a rule")
    rules: dict[str, str] = {}
    for hotword in hotwords:
        if hotword.wrong is not None and rules.setdefault(plain(hotword.wrong), hotword.text) != hotword.text:
            raise ValueError(f"{hotword.wrong!r} is replaced by two different words")


def merged(own: Iterable[str], listed: Iterable[str]) -> tuple[str, ...]:
    """Add the entries of a list to others, which win where the two contradict each other.

    If each passes `check_together`, the result does.
    """
    own = set(own)
    ours = [parsed(entry) for entry in own]
    wanted = {hotword.text for hotword in ours}
    words = {hotword.text for hotword in ours if hotword.wrong is None}
    replaced = {hotword.wrong for hotword in ours if hotword.wrong is not None}
    plainly_replaced = {plain(wrong) for wrong in replaced}

    def fits(hotword: Hotword) -> bool:
        if hotword.text in replaced:
            return False
        if hotword.wrong is None:
            return hotword.text not in words
        return hotword.wrong not in wanted and plain(hotword.wrong) not in plainly_replaced

    return tuple(sorted(own | {entry for entry in listed if fits(parsed(entry))}))


def tokens_of(text: str) -> tuple[str, ...]:
    """Return Chinese characters and Latin words, like the words of a sentence."""
    return tuple(_TOKEN.findall(text))


def plain(text: str) -> str:
    """Return the letters, digits and Chinese characters alone, in lower case."""
    return "".join(char for char in text.casefold() if char.isalnum())


def _checked(word: str) -> str:
    word = " ".join(word.split())
    if not SHORTEST <= len(word) <= LONGEST:
        raise ValueError(f"{word!r}: a hotword has {SHORTEST} to {LONGEST} characters")
    if _FORBIDDEN.search(word) or not all(plain(token) for token in tokens_of(word)):
        raise ValueError(f"{word!r}: a hotword consists of letters, digits and Chinese characters")
    return word
