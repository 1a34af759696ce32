"""What every recogniser takes and gives, whatever its networks are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from common.transcript.values import Tags, Word
from worker.engine.recognition.bias_words import BiasTokenizer, BiasWords

SHORTEST_SAMPLES = 400
"""25 ms: one analysis window. A shorter segment has no frame and yields no words."""

Segment = NDArray[np.int16]
Frontend = Callable[[Sequence[Segment]], tuple[Tensor, Tensor]]
"""Segments (int16 [samples], 16 kHz) → features float32 [B, T, D] and lengths int64 [B]."""


class Utterance(NamedTuple):
    """A segment to recognise, int16 [samples] at 16 kHz, with the hotwords of its job and the language it states."""

    samples: Segment
    words: BiasWords | None = None
    language: str | None = None


class Recognised(NamedTuple):
    """The words of a segment, times in ms from its start, and what else a model heard in it; None: no such model."""

    words: list[Word]
    tags: Tags | None = None


class Recogniser(Protocol):
    """A model for speech. Only one thread may call `transcribe`."""

    description: str
    """The layout of the networks, for the log: `packed`, or `padded` and why."""

    times_words: bool
    """Whether the model times words; otherwise their times are estimated."""

    tokenizer: BiasTokenizer | None
    """Writes hotwords; None for a model that takes none."""

    def transcribe(self, utterances: Sequence[Utterance]) -> list[Recognised]:
        """Recognise segments in one batch. One without speech yields no words and does not affect the others."""
        ...

    def rehearse(self, segments: Sequence[Segment]) -> None:
        """Use the memory and time that so much dense speech takes, whatever the segments hold."""
        ...

    def close(self) -> None:
        """End the compute threads."""
        ...


def placed(words: Sequence[Word], offset_ms: int, last_end_ms: int) -> list[Word]:
    """Words of a segment at their times in the channel, none starting before the previous word ends."""
    moved = []
    for word in words:
        start = max(word.start_ms + offset_ms, last_end_ms)
        last_end_ms = max(word.end_ms + offset_ms, start)
        moved.append(Word(word.text, start, last_end_ms, word.confidence))
    return moved
