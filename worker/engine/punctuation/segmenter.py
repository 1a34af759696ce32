"""Splits Chinese text into words for the word-based punctuation model, as FunASR's `split_words` does with jieba.

FunASR splits the text of the whole file. Here the text arrives in pieces, and a word is emitted as soon as nothing
that follows can change it: jieba takes the most probable path through all dictionary words, so the text before a
position that no dictionary word crosses, or could still cross, does not depend on the text after it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.errors import ModelUnavailable
from common.transcript.scripts import is_spaced
from common.transcript.values import Word

LONGEST_UNSETTLED = 200
"""So many characters without a safe place are divided as they are: in real text a few settle it."""

_BLOCK = re.compile(r"[\u4E00-\u9FD5a-zA-Z0-9+#&\._%\-]+")
"""What jieba looks up in its dictionary; every other character is a word (`re_han_default` in jieba)."""
_JOINED = re.compile(r"[a-zA-Z0-9]")
"""Characters that jieba joins to one word where they stand alone side by side."""


@dataclass(frozen=True, slots=True)
class Token:
    """A unit of the punctuation model, with the words of the transcript that it consists of."""

    text: str
    words: tuple[Word, ...]


def _is_latin(text: str) -> bool:
    """Whether a word is a token as it is; FunASR knows ASCII letters only and divides `café`."""
    return all(is_spaced(char) and (char.isalpha() or char == "'") for char in text)


class Segmenter:
    """jieba with its own dictionary and a model's. Read-only after construction, so any thread may call it."""

    def __init__(self, dictionary: Path) -> None:
        import jieba

        jieba.setLogLevel(logging.ERROR)
        # Not jieba's global tokenizer: the words of one model must not affect another's.
        self._jieba: Any = jieba.Tokenizer()
        try:
            self._jieba.initialize()
            self._jieba.load_userdict(str(dictionary))
        except (OSError, ValueError, AttributeError) as error:
            raise ModelUnavailable(f"{dictionary} is not a dictionary for jieba: {error}") from error

    def words(self, text: str) -> list[str]:
        """The words of a text without spaces."""
        return list(self._jieba.cut(text, HMM=False))

    def settled(self, text: str) -> int:
        """The number of leading characters whose segmentation no following text can change; a word ends there."""
        blocks = list(_BLOCK.finditer(text))
        if not blocks or blocks[-1].end() < len(text):
            return len(text)
        return blocks[-1].start() + self._settled_in(blocks[-1].group())

    def _settled_in(self, block: str) -> int:
        known = self._jieba.FREQ
        safe, reach, length = 0, 0, len(block)
        for start in range(length):
            joined = start > 0 and _JOINED.match(block[start - 1]) and _JOINED.match(block[start])
            if start >= reach and not joined:
                safe = start
            end = start + 1
            while end <= length and block[start:end] in known:
                if known[block[start:end]]:
                    reach = max(reach, end)
                end += 1
            if end > length:
                return safe  # with more characters it could become a longer word
        return safe if _JOINED.match(block[-1]) else length


class TokenStream:
    """Turns transcript words into tokens for the punctuation model; without a segmenter each word is a token."""

    def __init__(self, segmenter: Segmenter | None) -> None:
        self._segmenter = segmenter
        self._run: list[Word] = []

    def accept(self, words: Sequence[Word]) -> list[Token]:
        """Take the next words and return the tokens that are final."""
        if self._segmenter is None:
            return [Token(word.text, (word,)) for word in words]
        tokens = []
        for word in words:
            if _is_latin(word.text):
                tokens += [*self.finish(), Token(word.text, (word,))]
            else:
                self._run.append(word)
        text = "".join(word.text for word in self._run)
        settled = self._segmenter.settled(text)
        if len(text) - settled > LONGEST_UNSETTLED:
            settled = len(text)
        whole, self._run = _split(self._run, settled)
        return [*tokens, *self._divide(whole)]

    def finish(self) -> list[Token]:
        """The tokens of the remaining words: the text has ended, or an English word follows."""
        run, self._run = self._run, []
        return self._divide(run)

    def state(self) -> list[Word]:
        """The words whose tokens are not final yet."""
        return self._run

    def restore(self, state: Sequence[Word]) -> None:
        """Continue from a `state()`."""
        self._run = list(state)

    def _divide(self, words: list[Word]) -> list[Token]:
        if self._segmenter is None or not words:
            return []
        return list(_tokens(words, self._segmenter.words("".join(word.text for word in words))))


def _tokens(words: list[Word], texts: Sequence[str]) -> Iterator[Token]:
    for text in texts:
        own, words = _split(words, len(text))
        yield Token(text, tuple(own))


def _split(words: list[Word], characters: int) -> tuple[list[Word], list[Word]]:
    """Split words after `characters` characters; a word across the boundary is split, with its time divided evenly."""
    for index, word in enumerate(words):
        length = len(word.text)
        if characters < length:
            if characters == 0:
                return words[:index], words[index:]
            middle = word.start_ms + (word.end_ms - word.start_ms) * characters // length
            first = Word(word.text[:characters], word.start_ms, middle, word.confidence)
            second = Word(word.text[characters:], middle, word.end_ms, word.confidence)
            return [*words[:index], first], [second, *words[index + 1 :]]
        characters -= length
    return words, []
