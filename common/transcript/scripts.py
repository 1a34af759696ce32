"""How the writing systems in a transcript separate words."""

from __future__ import annotations

import sys

FIRST_UNSPACED = 0x2E80
"""The first code point of the CJK blocks; from there on, text counts as written without spaces.

That is wrong for Hangul, which no model writes.
"""
LETTER = rf"[^\W_{chr(FIRST_UNSPACED)}-{chr(sys.maxunicode)}]"
"""A pattern of a letter or digit of a script with spaces."""


def is_spaced(char: str) -> bool:
    """Return whether a character belongs to a script that separates words by spaces.

    These are ASCII, and letters with their combining marks such as `é`, `ß` or `ж`.
    """
    return char.isascii() or (ord(char) < FIRST_UNSPACED and (char.isalpha() or 0x0300 <= ord(char) < 0x0370))
