"""How the writing systems in a transcript separate words."""

from __future__ import annotations

import sys

FIRST_UNSPACED = 0x2E80
"""The first code point of the CJK blocks; from there on, text counts as written without spaces, except Hangul."""
FIRST_HANGUL, LAST_HANGUL = 0xAC00, 0xD7A3
"""The syllables of Korean, which separates words by spaces."""
_UNSPACED = f"{chr(FIRST_UNSPACED)}-{chr(FIRST_HANGUL - 1)}{chr(LAST_HANGUL + 1)}-{chr(sys.maxunicode)}"
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
