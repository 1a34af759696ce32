"""From SenseVoice's best token of each frame to timed words and tags.

A token lasts as long as it is the best one without a break (CTC). FunASR aligns the tokens with the frames anew by
dynamic programming (`ctc_forced_align`); the path of the best tokens is the most probable one of all that give these
tokens, so it is that alignment. FunASR first divides its text into tokens again, which can give others than those
recognised (`its` → `it`, `s`), or raise IndexError; here the recognised tokens keep their times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from common.transcript.scripts import is_spaced
from common.transcript.values import Tags, Word
from worker.engine.recognition.sensevoice.networks import QUERIES

FRAME_MS = 60
"""10 ms frames, 6 of them in one low-frame-rate frame."""
SHIFT_MS = -30
"""Half a frame: FunASR's rule for where a frame lies."""

BLANK = 0
SPACE = "\u2581"
"""What SentencePiece writes for a space: `▁`."""

_TAG = re.compile(r"<\|(\w+)\|>")
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_EMOTIONS = frozenset({"HAPPY", "SAD", "ANGRY", "NEUTRAL", "FEARFUL", "DISGUSTED", "SURPRISED"})
_EVENTS = ("BGM", "Applause", "Laughter", "Cry", "Sneeze", "Breath", "Cough", "Sing", "Speech_Noise")
"""`Speech` is left out: words say so. `Event_UNK`, `EMO_UNKNOWN`, `GBG`, `withitn` and `woitn` tell nothing."""


class Token(NamedTuple):
    """A recognised token: its id, its first frame and the one after its last, its best log-probability."""

    id: int
    begin: int
    end: int
    log_probability: float


class Vocabulary:
    """The pieces of a SentencePiece model by id; some are tags, the others text."""

    def __init__(self, pieces: Sequence[str]) -> None:
        self.pieces = pieces
        self.tags = {number: name[1] for number, piece in enumerate(pieces) if (name := _TAG.fullmatch(piece))}
        bytes_ = {number: name[1] for number, piece in enumerate(pieces) if (name := _BYTE.fullmatch(piece))}
        self.bytes = {number: bytes.fromhex(digits) for number, digits in bytes_.items()}


def tokens_of(ids: NDArray[np.int64], log_probabilities: NDArray[np.float64]) -> list[Token]:
    """The tokens of one segment from the best id of each frame, [frames]: equal neighbours are one, blanks none."""
    if not len(ids):
        return []
    begins = np.concatenate([[0], np.flatnonzero(np.diff(ids)) + 1])
    ends = np.append(begins[1:], len(ids))
    peaks = np.maximum.reduceat(log_probabilities, begins)
    runs = zip(ids[begins].tolist(), begins.tolist(), ends.tolist(), peaks.tolist(), strict=True)
    return [Token(*run) for run in runs if run[0] != BLANK]


def times_of(token: Token, frames: int) -> tuple[int, int]:
    """Begin and end of a token in ms from the start of the segment, which has `frames` frames of speech."""
    begin = max((token.begin - QUERIES) * FRAME_MS + SHIFT_MS, 0)
    end = min(token.end - QUERIES, frames) * FRAME_MS + SHIFT_MS
    return begin, max(end, begin)


def tags_of(vocabulary: Vocabulary, tokens: Sequence[Token]) -> Tags:
    """What the tags among the tokens tell. The first language and emotion count, and every event."""
    names = [vocabulary.tags[token.id] for token in tokens if token.id in vocabulary.tags]
    languages = [name for name in names if _LANGUAGE.fullmatch(name)]
    emotions = [name.lower() for name in names if name in _EMOTIONS]
    events = [name.lower() for name in _EVENTS if name in names]
    return Tags(next(iter(languages), None), next(iter(emotions), None), tuple(events))


@dataclass(slots=True)
class _Run:
    """Characters that form one word, and the tokens that they come from."""

    text: str
    start_ms: int
    end_ms: int
    log_probabilities: list[float]

    def word(self) -> Word:
        mean = sum(self.log_probabilities) / len(self.log_probabilities)
        return Word(self.text, self.start_ms, self.end_ms, min(exp(mean), 1.0))


def words_of(vocabulary: Vocabulary, tokens: Sequence[Token], frames: int) -> list[Word]:
    """The words of a segment with `frames` frames of speech.

    Each character of a script without spaces is one, as is each run of other characters between spaces. The characters
    of a token divide its time evenly.
    """
    words: list[Word] = []
    run: _Run | None = None
    for text, start_ms, end_ms, log_probability in _characters(vocabulary, tokens, frames):
        if run is not None and (text.isspace() or not is_spaced(text)):
            words.append(run.word())
            run = None
        if text.isspace():
            continue
        if not is_spaced(text):
            words.append(Word(text, start_ms, end_ms, min(exp(log_probability), 1.0)))
        elif run is None:
            run = _Run(text, start_ms, end_ms, [log_probability])
        else:
            run.text += text
            run.end_ms = end_ms
            run.log_probabilities.append(log_probability)
    if run is not None:
        words.append(run.word())
    return words


def _characters(vocabulary: Vocabulary, tokens: Sequence[Token], frames: int) -> Iterator[tuple[str, int, int, float]]:
    """Each character with its begin, end and the log-probability of its token."""
    for text, token in _texts(vocabulary, tokens):
        start_ms, end_ms = times_of(token, frames)
        own = text.lstrip(SPACE)
        if own != text:
            yield " ", start_ms, start_ms, 0.0
        for index, character in enumerate(own):
            begin, end = (start_ms + (end_ms - start_ms) * place // len(own) for place in (index, index + 1))
            yield (" " if character == SPACE else character), begin, end, token.log_probability


def _texts(vocabulary: Vocabulary, tokens: Sequence[Token]) -> Iterator[tuple[str, Token]]:
    """The text of each token that has one. Tokens that are bytes of the same characters become one."""
    held, first = b"", None
    for token in tokens:
        if token.id in vocabulary.bytes:
            held += vocabulary.bytes[token.id]
            first = token if first is None else _joined(first, token)
            continue
        if first is not None:
            yield _decoded(held), first
            held, first = b"", None
        if token.id not in vocabulary.tags:
            yield vocabulary.pieces[token.id], token
    if first is not None:
        yield _decoded(held), first


def _decoded(held: bytes) -> str:
    """The characters of UTF-8, and as in SentencePiece a replacement character for each byte that is part of none."""
    try:
        return held.decode()
    except UnicodeDecodeError as error:
        broken = "\ufffd" * (error.end - error.start)
        return held[: error.start].decode() + broken + _decoded(held[error.end :])


def _joined(first: Token, last: Token) -> Token:
    return first._replace(end=last.end, log_probability=min(first.log_probability, last.log_probability))
