"""The writing systems of a transcript: how they separate words, and which of its languages one is."""

from __future__ import annotations

import re
import sys
from typing import Literal

FIRST_UNSPACED = 0x2E80
"""The first code point of the CJK blocks; from there on, text counts as written without spaces, except Hangul."""
FIRST_HANGUL, LAST_HANGUL = 0xAC00, 0xD7A3
"""The syllables of Korean, which separates words by spaces."""
_UNSPACED = f"{chr(FIRST_UNSPACED)}-{chr(FIRST_HANGUL - 1)}{chr(LAST_HANGUL + 1)}-{chr(sys.maxunicode)}"
CHINESE_CHARACTERS = "\u3400-\u9fff\uf900-\ufaff"
"""Chinese characters, for a pattern's set."""
_CHINESE = re.compile(f"[{CHINESE_CHARACTERS}]")
_OTHER_WORD = re.compile(rf"[^\W\d_{CHINESE_CHARACTERS}]+")
LETTER = rf"[^\W_{_UNSPACED}]"
"""A pattern of a letter or digit of a script with spaces."""


def is_spaced(char: str) -> bool:
    """Return whether a character belongs to a script that separates words by spaces.

    These are ASCII, letters with their combining marks such as `é`, `ß` or `ж`, and Hangul.
    """
    if char.isascii() or is_hangul(char):
        return True
    return ord(char) < FIRST_UNSPACED and (char.isalpha() or 0x0300 <= ord(char) < 0x0370)


def is_hangul(char: str) -> bool:
    """Return whether a character is a Korean syllable."""
    return FIRST_HANGUL <= ord(char) <= LAST_HANGUL


def language_of(text: str) -> Literal["zh", "en"]:
    """Return the language of a text: Chinese if it has at least as many Chinese characters as other words."""
    chinese = len(_CHINESE.findall(text))
    return "zh" if chinese and chinese >= len(_OTHER_WORD.findall(text)) else "en"
