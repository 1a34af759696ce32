"""Measures the host cost per word: from the device's outputs to finished sentences, without the networks."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from bench.report import Column, Report, spread
from common.transcript.values import Word
from worker.engine.punctuation.punctuator import PunctuationStream
from worker.engine.recognition.timing import token_times
from worker.engine.recognition.utterance import placed
from worker.engine.recognition.words import Vocabulary, join_tokens

SEGMENTS = 400
TOKENS = 30
FRAMES = 360
"""Upsampled frames of 20 ms: segments of 7.2 s with 30 tokens."""
SEGMENT_MS = 7200
REPEATS = 5
BAR_US, AIM_US = 20.0, 10.0


class _Marks:
    """Replaces the punctuation network: a mark after every eighth word, at no cost."""

    marks = ("<unk>", "_", "，", "。", "？", "、")
    sentence_end_id = 3
    segmenter = None  # each character counts

    def ids(self, words: list[Word]) -> list[int]:
        return [1] * len(words)


def measure(report: Report) -> None:
    """Add a table and the bar for the host cost."""
    generator = np.random.default_rng(3)
    tokens = (
        [chr(0x4E00 + index) for index in range(8000)] + [f"{chr(97 + i % 26)}b{i}a" for i in range(400)] + ["<unk>"]
    )
    vocabulary = Vocabulary(tokens)
    ids = generator.integers(0, 8000, (SEGMENTS, TOKENS))
    ids[generator.random(ids.shape) < 0.02] += 400  # some Latin words
    weights = generator.random((SEGMENTS, FRAMES)).astype(np.float32)
    weights *= TOKENS / weights.sum(axis=1, keepdims=True)
    logs = np.full(TOKENS, -0.1)
    rounds = [_once(vocabulary, ids, weights, logs) for _ in range(REPEATS + 1)][1:]
    table = report.table("Python per word, us", *(Column("step"), Column("cost", "us per word")))
    for name in rounds[0]:
        table.add(step=name, cost=spread(one[name] for one in rounds))
    whole = spread(sum(one.values()) for one in rounds)
    table.add(step="all", cost=whole)
    table.note(f"The bar is {BAR_US:g} us, the aim {AIM_US:g}.")
    report.bar("host_us_per_word", whole.median, bar=BAR_US, at_most=True)


def _once(
    vocabulary: Vocabulary, ids: NDArray[np.int64], weights: NDArray[np.float32], logs: NDArray[np.float64]
) -> dict[str, float]:
    """Microseconds per word by step."""
    started = time.thread_time()
    words = []
    for row, own in zip(ids, weights, strict=True):
        times = token_times(own, TOKENS)
        words.append(join_tokens(vocabulary, row.tolist(), times.tolist(), logs.tolist()))
    joined = time.thread_time()
    moved: list[list[Word]] = []
    for index, one in enumerate(words):
        moved.append(placed(one, SEGMENT_MS * index, moved[-1][-1].end_ms if moved else 0))
    in_place = time.thread_time()
    stream = PunctuationStream(_Marks(), _label)  # type: ignore[arg-type]
    sentences = [sentence for one in moved for sentence in stream.accept(one)] + stream.finish()
    ended = time.thread_time()
    count = sum(len(sentence.words) for sentence in sentences)
    steps = {
        "tokens to timed words": joined - started,
        "place in the file": in_place - joined,
        "sentences": ended - in_place,
    }
    return {name: seconds * 1e6 / count for name, seconds in steps.items()}


def _label(window: list[int]) -> NDArray[np.int64]:
    labels = np.ones(len(window), np.int64)
    labels[7::16] = 2
    labels[15::16] = 3
    return labels
