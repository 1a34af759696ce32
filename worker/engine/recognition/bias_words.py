"""Writes the hotwords of a job in the tokens of a recogniser that has a hotword decoder."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.transcript.hotwords.entries import parsed, tokens_of

_DIGITS = re.compile("[0-9]+")


@dataclass(frozen=True, slots=True)
class BiasWords:
    """Different hotwords, each as its token ids; `digest` (hexadecimal) is equal only for the same ids."""

    ids: tuple[tuple[int, ...], ...]
    digest: str


class BiasTokenizer:
    """Writes hotwords as FunASR does: words by the pieces file, Chinese characters and digits one by one.

    A line of the pieces file is `word piece piece …`, as the recogniser's training data wrote that word.
    A word that is not in the file, or any but a whole token without the file, cannot be written, nor can a hotword that
    contains it. FunASR gives its network `<unk>` there.
    """

    def __init__(self, tokens: Sequence[str], pieces: Path | None = None) -> None:
        self._ids = {token: number for number, token in enumerate(tokens)}
        self._pieces = pieces if pieces is not None and pieces.is_file() else None

    def words(self, entries: Iterable[str]) -> BiasWords | None:
        """Hotwords as clients write them → those that can be written, None if none can.

        Weights are dropped, since the networks have none, and so are rules (`wrong=>right`).
        Raises OSError or ValueError if the pieces file cannot be read.
        """
        hotwords = [parsed(entry) for entry in entries]
        texts = sorted({hotword.text.lower() for hotword in hotwords if hotword.wrong is None})
        listed = self._listed({token for text in texts for token in (text, *tokens_of(text))})
        written = (self._written(text, listed) for text in texts)
        ids = tuple(dict.fromkeys(each for each in written if each))
        if not ids:
            return None
        return BiasWords(ids, hashlib.blake2b(repr(ids).encode("ascii"), digest_size=16).hexdigest())

    def _written(self, text: str, listed: dict[str, list[str]]) -> tuple[int, ...]:
        """Token ids of a hotword; empty if it cannot be written."""
        parts = [text] if text in listed else tokens_of(text)
        pieces = [piece for part in parts for piece in self._pieces_of(part, listed)]
        ids = [self._ids.get(piece) for piece in pieces]
        return tuple(number for number in ids if number is not None) if None not in ids else ()

    def _pieces_of(self, part: str, listed: dict[str, list[str]]) -> Sequence[str]:
        if part in listed:
            return listed[part]
        return tuple(part) if _DIGITS.fullmatch(part) else (part,)

    def _listed(self, wanted: set[str]) -> dict[str, list[str]]:
        """The lines of the pieces file for some words. It has hundreds of thousands, so they are not kept in memory."""
        if self._pieces is None:
            return {}
        with self._pieces.open(encoding="utf-8") as lines:
            split = (line.split() for line in lines)
            return {line[0]: line[1:] for line in split if line and line[0] in wanted}
