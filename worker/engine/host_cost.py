"""Measures host time per word: from the scores of a batch to timed words in punctuated sentences."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from common.transcript.values import Word
from worker.engine.punctuation.punctuator import Labels, PunctuationStream, Punctuator
from worker.engine.recognition.compute_threads import ComputeThreads
from worker.engine.recognition.networks import Scores
from worker.engine.recognition.paraformer import Paraformer
from worker.engine.recognition.utterance import placed
from worker.engine.recognition.words import Vocabulary
from worker.engine.stream import SAMPLE_RATE

_FULL_STOP = 2
_SENTENCE_WORDS = 11


class _Canned:
    """Replaces the recogniser's networks: the same scores for every batch."""

    description = "none"
    predictor = SimpleNamespace(times_words=True)

    def __init__(self, scores: Scores) -> None:
        self._scores = scores

    def __call__(self, features: Tensor, lengths: Tensor, words: Sequence[Any] = ()) -> Scores:  # noqa: ARG002
        return self._scores


class _FullStops:
    """Replaces the punctuation network: every eleventh word ends a sentence."""

    marks = ("<unk>", "_", "。")
    sentence_end_id = _FULL_STOP

    def ids(self, words: Sequence[Word]) -> list[int]:
        return [0] * len(words)

    def label(self, window: list[int]) -> Labels:
        labels = np.ones(len(window), np.int64)
        labels[_SENTENCE_WORDS - 1 :: _SENTENCE_WORDS] = _FULL_STOP
        return labels


def host_seconds_per_word(segments: int = 400, words: int = 25, batch: int = 20) -> float:
    """The median over batches of the host time per word, with networks that cost nothing.

    Uses `segments` segments of 6 s with `words` Chinese characters each, `batch` of them at a time.
    """
    generator = np.random.default_rng(7)
    networks: Any = _Canned(_scores(generator, batch, words))
    characters = ["<blank>", "<s>", "</s>", *map(chr, range(0x4E00, 0x4E00 + 3000)), "<unk>"]
    paraformer = Paraformer(networks, _no_features, Vocabulary(characters), {0, 1, 2}, ComputeThreads(1))
    audio = [np.zeros(6 * SAMPLE_RATE, np.int16)] * batch
    marks = _FullStops()
    stream = PunctuationStream(cast(Punctuator, cast(Any, marks)), marks.label)
    times, last = [], 0
    for number in range(max(segments // batch, 3) + 1):
        started = time.perf_counter()
        for row, recognised in enumerate(paraformer.recognise(audio)):
            moved = placed(recognised, (number * batch + row) * 6000, last)
            last = moved[-1].end_ms
            stream.accept(moved)
        times.append((time.perf_counter() - started) / (batch * words))
    return float(np.median(times[1:]))


def _no_features(segments: Sequence[Any]) -> tuple[Tensor, Tensor]:
    return torch.zeros(len(segments), 0, 0), torch.zeros(len(segments), dtype=torch.int64)


def _scores(generator: np.random.Generator, batch: int, words: int) -> Scores:
    """Random tokens at random places of segments of 6 s (300 upsampled frames)."""
    weights = []
    for _ in range(batch):
        row = generator.random(300).astype(np.float32) ** 4
        weights.append((row * np.float32(words) / row.sum(dtype=np.float32)).astype(np.float32))
    ids = generator.integers(3, 3000, batch * words)
    return Scores([words] * batch, ids, np.log(generator.uniform(0.5, 1, batch * words)), weights)
