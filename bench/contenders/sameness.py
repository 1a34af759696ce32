"""Texts and word times of random recordings: FunASR alone, and our engine alone, in mixed batches, and interrupted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from bench.contenders.automodel import auto_model
from bench.contenders.ours import load_engine
from bench.contenders.protocol import Outcome, Spec
from bench.random_speech import random_file
from common.transcript.values import Sentence, joined_text

SAMPLE_RATE = 16_000
Found = dict[str, Any]  # text, and times: [[start_ms, end_ms], …] of its words


class FunasrTexts:
    """The reference: whole files with every segment alone and a fixed silence threshold (dither is 0 in the bundle)."""

    def __init__(self, spec: Spec) -> None:
        self._model = auto_model(spec)

    def run(self, files: Sequence[str]) -> Outcome:
        """Transcribe random recordings; `files` are their numbers."""
        outputs = [self._one(int(number)) for number in files]
        return Outcome([one["text"] for one in outputs], 0, {"times": [one["times"] for one in outputs]})

    def _one(self, number: int) -> Found:
        audio = random_file(number).samples.astype(np.float32) / 32768
        results = self._model.generate(audio, dynamic_silence=False, batch_size_s=0)
        result = results[0] if results else {"text": ""}
        # A punctuation window that begins with a Latin word puts a space before it, even at the start of a sentence.
        text = re.sub(r"(?<=[。？，、]) +", "", result["text"]).strip()
        return {"text": text, "times": result.get("timestamp", [])}

    def stages(self, _: Sequence[str]) -> dict[str, float]:
        """Not measured."""
        return {}


class OurTexts:
    """The engine with the cutter off."""

    def __init__(self, spec: Spec) -> None:
        self._engine = load_engine(spec)
        self._at_once = spec.at_once

    def run(self, files: Sequence[str]) -> Outcome:
        """Transcribe random recordings; `files` are their numbers. The details contain every pass by name."""
        numbers = [int(number) for number in files]
        alone = [self._whole(number, 10 * SAMPLE_RATE) for number in numbers]
        together = self._mixed(numbers, self._in_blocks)
        resumed = self._mixed(numbers, self._interrupted)
        passes = {"alone": alone, "together": together, "resumed": resumed}
        return Outcome([one["text"] for one in alone], 0, {"passes": passes})

    def stages(self, _: Sequence[str]) -> dict[str, float]:
        """Not measured."""
        return {}

    def _mixed(self, numbers: Sequence[int], work: Callable[[int], Found]) -> list[Found]:
        """Run many at once in random order, so that batches mix any segments; results are in the order of `numbers`."""
        order = np.random.default_rng(len(numbers)).permutation(len(numbers))
        with ThreadPoolExecutor(self._at_once) as threads:
            results = list(threads.map(work, [numbers[place] for place in order]))
        return [one for _, one in sorted(zip(order, results, strict=True), key=lambda pair: int(pair[0]))]

    def _in_blocks(self, number: int) -> Found:
        return self._whole(number, int(np.random.default_rng((1, number)).integers(1000, 20 * SAMPLE_RATE)))

    def _whole(self, number: int, block: int) -> Found:
        samples = random_file(number).samples
        stream = self._engine.stream(key=number)
        sentences: list[Sentence] = []
        for first in range(0, len(samples), block):
            sentences += stream.accept(samples[first : first + block])
        return _found(sentences + stream.finish())

    def _interrupted(self, number: int) -> Found:
        """Discard the stream up to three times and resume from its state in a new one."""
        samples = random_file(number).samples
        generator = np.random.default_rng((2, number))
        stops = sorted(generator.integers(0, len(samples), int(generator.integers(1, 4))).tolist())
        sentences: list[Sentence] = []
        state: bytes | None = None
        for stop in [*stops, len(samples)]:
            stream = self._engine.stream(key=number, state=state)
            for first in range(stream.resume_sample, stop, 3 * SAMPLE_RATE):
                sentences += stream.accept(samples[first : min(first + 3 * SAMPLE_RATE, stop)])
            sentences += stream.drain()
            state = stream.state()
        return _found(sentences + stream.finish())


def _found(sentences: Sequence[Sentence]) -> Found:
    times = [[word.start_ms, word.end_ms] for sentence in sentences for word in sentence.words]
    return {"text": joined_text(sentences), "times": times}
