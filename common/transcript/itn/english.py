"""English number words in a text, such as twenty five percent."""

from __future__ import annotations

import re
from itertools import pairwise

from common.transcript.scripts import LETTER

ONES = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9}
TEENS = {
    "ten": 10,
    "eleven": 11,
    "twelve": 12,
    "thirteen": 13,
    "fourteen": 14,
    "fifteen": 15,
    "sixteen": 16,
    "seventeen": 17,
    "eighteen": 18,
    "nineteen": 19,
}
TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
# Chinese characters may stand directly beside a word.
WORD = re.compile(
    rf"(?<!{LETTER})(?:{'|'.join((*ONES, *TEENS, *TENS, *SCALES))})(?!{LETTER})",
    re.IGNORECASE,
)
_LINK = r"(?:[ \-]|[ ]and[ ]|[ ]point[ ])"
_PHRASE = re.compile(rf"{WORD.pattern}(?:{_LINK}{WORD.pattern})*(?P<percent>[ ]percent(?!{LETTER}))?", re.IGNORECASE)


def normalized(text: str) -> str:
    """Return the text with English numbers of several words in digits."""
    return _PHRASE.sub(_replacement, text)


def _replacement(match: re.Match[str]) -> str:
    percent = match["percent"] or ""
    phrase = match[0].removesuffix(percent).lower()
    whole, point, fraction = phrase.partition(" point ")
    value = _whole(whole.replace("-", " ").split())
    if value is None or " point " in fraction:
        return match[0]
    if point:
        after = [ONES.get(word) for word in fraction.split()]
        if None in after:
            return match[0]
        value = f"{value}.{''.join(str(digit) for digit in after)}"
    elif " " not in phrase and "-" not in phrase and not percent:
        return match[0]
    return value + ("%" if percent else "")


def _whole(words: list[str]) -> str | None:
    """Return a whole number in digits: digit by digit, a year in two halves, or a cardinal."""
    if len(words) > 2 and all(word in ONES for word in words):
        return "".join(str(ONES[word]) for word in words)
    if any(word == "and" and before not in SCALES for before, word in pairwise(words)):
        return None  # between twenty and five
    year = _year(words)
    if year is not None:
        return year
    return _cardinal([word for word in words if word != "and"])


def _year(words: list[str]) -> str | None:
    """Return a year such as twenty twenty six or nineteen ninety."""
    if len(words) not in (2, 3) or words[0] not in ("nineteen", "twenty") or words[1] not in (TENS | TEENS):
        return None
    end = _below_hundred(words[1:])
    return None if end is None else f"{(TEENS | TENS)[words[0]]}{end}"


def _below_hundred(words: list[str]) -> int | None:
    if len(words) == 1:
        return (ONES | TEENS | TENS).get(words[0])
    if len(words) == 2 and words[0] in TENS and ONES.get(words[1]):
        return TENS[words[0]] + ONES[words[1]]
    return None


def _cardinal(words: list[str]) -> str | None:
    total, rest, limit = 0, words, 10**12
    for scale in ("billion", "million", "thousand"):
        if scale in rest:
            place = rest.index(scale)
            value = _below_thousand(rest[:place])
            if value is None or SCALES[scale] >= limit:
                return None
            total, limit, rest = total + value * SCALES[scale], SCALES[scale], rest[place + 1 :]
    if not rest:
        return str(total)
    value = _below_thousand(rest)
    return None if value is None else str(total + value)


def _below_thousand(words: list[str]) -> int | None:
    if "hundred" not in words:
        return _below_hundred(words)
    place = words.index("hundred")
    hundreds = ONES.get(words[0]) if place == 1 else None
    if not hundreds:
        return None
    rest = _below_hundred(words[2:]) if words[2:] else 0
    return None if rest is None else hundreds * 100 + rest
