"""How near two Chinese syllables sound, by pinyin without tones.

Near are the pairs that many speakers do not tell apart: zh/z, ch/c, sh/s, n/l, r/l, f/h; ing/in, eng/en, ang/an.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

_SYLLABLE = re.compile(r"(zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw]?)(.*)", re.DOTALL)
_FOLDED_INITIALS = {"zh": "z", "ch": "c", "sh": "s", "n": "l", "r": "l", "h": "f"}
_NEAR_INITIALS = frozenset(
    frozenset(pair) for pair in (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l"), ("r", "l"), ("f", "h"))
)
_NASAL = re.compile("(?<=[iea]n)g$")
# A character without a known reading stands for itself; pypinyin takes a list here, although its types do not say so.
_EACH_ALONE: Any = list


def folded(syllable: str) -> str:
    """Return a form that near syllables have in common; those with a common form are not always near."""
    initial, final = _split(syllable)
    return _FOLDED_INITIALS.get(initial, initial) + _NASAL.sub("", final)


@lru_cache(65_536)
def difference(left: str, right: str) -> int | None:
    """Return 0 for equal syllables, 1 or 2 for near ones (initial, final), None for others."""
    (left_initial, left_final), (right_initial, right_final) = _split(left), _split(right)
    apart = 0
    if left_initial != right_initial:
        if frozenset((left_initial, right_initial)) not in _NEAR_INITIALS:
            return None
        apart += 1
    if left_final != right_final:
        if _NASAL.sub("", left_final) != _NASAL.sub("", right_final):
            return None
        apart += 1
    return apart


def readings_of(characters: str) -> list[tuple[str, ...]]:
    """Return for each Chinese character how it is read here, and after that how it is usually read alone."""
    from pypinyin import lazy_pinyin  # loads its dictionaries

    return [
        tuple(dict.fromkeys((here, _alone(char)[0])))
        for char, here in zip(characters, lazy_pinyin(characters, errors=_EACH_ALONE), strict=True)
    ]


def all_readings_of(word: str) -> list[tuple[str, ...]]:
    """Return for each Chinese character how it is read in the word, and after that its other readings."""
    from pypinyin import lazy_pinyin

    return [
        tuple(dict.fromkeys((here, *_alone(char))))
        for char, here in zip(word, lazy_pinyin(word, errors=_EACH_ALONE), strict=True)
    ]


@lru_cache(32_768)
def _alone(char: str) -> tuple[str, ...]:
    from pypinyin import Style, pinyin

    return tuple(pinyin(char, style=Style.NORMAL, heteronym=True)[0])


def _split(syllable: str) -> Sequence[str]:
    found = _SYLLABLE.fullmatch(syllable)
    assert found is not None
    return found.groups()
