"""The host's share of the work: samples in, sentences out, on a device that answers at once (or after a modelled time).

    python -m bench.simulated                       # 16 files of 600 s at once
    python -m bench.simulated --speed 2000          # the device takes 1 s for 2,000 s of speech

The engine is the real one, with everything on one thread as on a GPU. Only what runs on a device is replaced: the
features, and the networks of VAD, recognition and punctuation. The voice is made up: speech of 6 s, pauses of 1 s.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from bench.models import DEMO
from bench.report import Column, Report, conditions, spread
from common.transcript.values import Sentence
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine
from worker.engine.options import EngineOptions
from worker.engine.recognition.networks import Scores
from worker.engine.stream import RecognitionStream
from worker.engine.vad import detector

SAMPLE_RATE = 16_000
BLOCK_SAMPLES = 2 * SAMPLE_RATE
SPEECH_FRAMES, PAUSE_FRAMES = 600, 100
TOKENS_PER_SECOND = 4.5
MARK_EVERY, STOP_EVERY = 8, 24
BAR, AIM = 1000.0, 2000.0


@dataclass(frozen=True)
class Load:
    """What is recognised: so many files at once, of so many seconds each, on a device of this speed (0: at once)."""

    files: int = 16
    seconds: float = 600.0
    speed: float = 0.0


class _Features:
    """Replaces the VAD's features: each frame is its number since the start of the audio."""

    def __init__(self, *_: object) -> None:
        self._frames = self._samples = 0

    def accept(self, samples: Any, *, final: bool = False) -> Tensor:
        self._samples += len(samples)
        before, self._frames = self._frames, self._samples // 160 - (0 if final else 3)
        return torch.arange(before, self._frames, dtype=torch.float32)[:, None]


class _Networks:
    """Replaces encoder, predictor and decoder: random characters at random places."""

    description = "none"

    def __init__(self, vocabulary: int, speed: float) -> None:
        generator = np.random.default_rng(3)
        self._ids = generator.integers(3, vocabulary, 100_000)
        self._logs = np.log(generator.uniform(0.5, 1, 100_000))
        self._weights = generator.random(10_000).astype(np.float32) ** 4
        self._speed = speed

    def __call__(self, features: Tensor, lengths: Tensor, words: Sequence[Any] = ()) -> Scores:  # noqa: ARG002
        seconds = lengths.numpy() * 0.06
        _wait(float(seconds.sum()), self._speed)
        counts = np.maximum((seconds * TOKENS_PER_SECOND).astype(int), 1)
        weights = [self._weights[: 3 * length] for length in lengths.tolist()]
        scaled = [own * np.float32(count / own.sum()) for own, count in zip(weights, counts, strict=True)]
        total = int(counts.sum())
        return Scores(counts.tolist(), np.resize(self._ids, total), np.resize(self._logs, total), scaled)


def _wait(seconds: float, speed: float) -> None:
    if speed:
        time.sleep(seconds / speed)


def _frontend(segments: Sequence[Any]) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([max(len(segment) // 960, 1) for segment in segments])
    return torch.empty(len(segments), 0, 0), lengths


def _silence(features: Tensor, caches: Any) -> tuple[Tensor, Any]:
    place = features[0, :, 0] % (SPEECH_FRAMES + PAUSE_FRAMES)
    return torch.where(place < SPEECH_FRAMES, 0.01, 0.99), caches


class _Labels:
    """Replaces the punctuation network: a comma after every eighth word, a full stop after every 24th."""

    def __init__(self, marks: Sequence[str]) -> None:
        self._none, self._comma, self._stop = (marks.index(mark) for mark in "_，。")

    def __call__(self, windows: Sequence[list[int]]) -> list[Any]:
        return [self._one(len(window)) for window in windows]

    def _one(self, words: int) -> Any:
        labels = np.full(words, self._none)
        labels[MARK_EVERY - 1 :: MARK_EVERY] = self._comma
        labels[STOP_EVERY - 1 :: STOP_EVERY] = self._stop
        return labels


@contextmanager
def simulated_engine(load: Load) -> Iterator[Engine]:
    """The engine with networks that cost nothing."""
    bundle = loading.load(from_directory(DEMO), "cpu")
    with mock.patch.object(detector, "FeatureStream", _Features):
        engine: Any = Engine(bundle, EngineOptions(batch_seconds=1200.0, as_gpu=True))
        recogniser = engine._recogniser
        recogniser._networks = _Networks(len(recogniser._vocabulary) - 1, load.speed)
        recogniser._frontend = _frontend
        engine._vad.normalised, engine._vad.score = (lambda features: features), _silence
        labels = _Labels(engine.punctuator.marks)
        engine.punctuator.label = labels
        try:
            yield engine
        finally:
            engine.close()


def run(engine: Engine, load: Load) -> tuple[int, float, float]:
    """Words, wall seconds, and processor seconds of all threads."""
    block = np.zeros(BLOCK_SAMPLES, np.int16)

    def one(number: int) -> int:
        stream = engine.stream(key=number)
        words = 0
        for _ in range(int(load.seconds * SAMPLE_RATE) // BLOCK_SAMPLES):
            words += sum(len(sentence.words) for sentence in stream.accept(block))
        last: list[Sentence] = stream.finish()
        return words + sum(len(sentence.words) for sentence in last)

    started, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(load.files) as threads:
        words = sum(threads.map(one, range(load.files)))
    return words, time.perf_counter() - started, time.process_time() - cpu


class Stages:
    """Processor time of functions by name, each without that of the measured functions that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._local = threading.local()
        self._lock = threading.Lock()

    def measured(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, with its time counted."""

        def counted(*arguments: Any, **options: Any) -> Any:
            stack = self._local.__dict__.setdefault("inner", [])
            stack.append(0.0)
            began = time.thread_time()
            try:
                return function(*arguments, **options)
            finally:
                took = time.thread_time() - began
                own = took - stack.pop()
                if stack:
                    stack[-1] += took
                with self._lock:
                    self.seconds[name] = self.seconds.get(name, 0.0) + own

        return counted


def stages(load: Load) -> tuple[dict[str, float], float]:
    """Processor seconds by stage, and of the whole process, which includes the cost of measuring."""
    counted = Stages()
    with ExitStack() as stack, simulated_engine(load) as engine:
        for name, owner, attribute in _places(engine):
            replaced = mock.patch.object(owner, attribute, counted.measured(name, getattr(owner, attribute)))
            stack.enter_context(replaced)
        _, _, cpu = run(engine, load)
    return counted.seconds, cpu


def _places(engine: Any) -> list[tuple[str, Any, str]]:
    """What is measured: a name, the owner of the function, and its attribute."""
    from worker.engine import stream
    from worker.engine.batching import batcher
    from worker.engine.punctuation.punctuator import PunctuationStream
    from worker.engine.recognition import paraformer

    return [
        ("blocks and segments of audio", RecognitionStream, "accept"),
        ("VAD: stretches and states", detector.VadStream, "accept"),
        ("VAD: end points", detector, "advance"),
        ("waiting for the device", engine.batcher, "call"),
        ("waiting for the device", engine.batcher, "submit"),
        ("choice of batches", batcher, "choose_batch"),
        ("batches to words", paraformer.Paraformer, "recognise_utterances"),
        ("token times", paraformer, "token_times"),
        ("tokens to words", paraformer, "join_tokens"),
        ("place in the file", stream, "placed"),
        ("sentences", PunctuationStream, "accept"),
        ("replaced networks", engine._recogniser, "_networks"),
        ("replaced networks", engine._vad, "score"),
        ("replaced networks", engine.punctuator, "label"),
    ]


def measure(report: Report, load: Load, rounds: int = 3) -> None:
    """Add a table of the speed and one of the stages, and the bar."""
    with simulated_engine(load) as engine:
        run(engine, Load(2, 60.0, load.speed))
        runs = [run(engine, load) for _ in range(rounds)]
    audio = load.files * load.seconds
    title = f"Host alone, {load.files} files of {load.seconds:g} s at once"
    table = report.table(
        title, Column("what"), Column("times", "x real time", 0), Column("us", "us per word"), Column("words", digits=0)
    )
    per_core = spread(audio / cpu for _, _, cpu in runs)
    words = runs[-1][0]
    table.add(what="per core", times=per_core, us=spread(cpu * 1e6 / words for _, _, cpu in runs), words=words)
    table.add(what="wall clock", times=spread(audio / wall for _, wall, _ in runs), words=words)
    table.note(f"The bar is {BAR:g} x real time per core, the aim {AIM:g}.")
    report.bar("host_times_real_time_per_core", per_core.median, bar=BAR)
    seconds, cpu = stages(load)
    columns = Column("stage"), Column("ms", "ms per hour of audio", 1), Column("share", "share, %", 1)
    parts = report.table("Host by stage", *columns)
    for name, own in sorted(seconds.items(), key=lambda item: -item[1]):
        parts.add(stage=name, ms=own * 3600e3 / audio, share=100 * own / cpu)
    other = cpu - sum(seconds.values())
    parts.add(stage="other: threads, and measuring", ms=other * 3600e3 / audio, share=100 * other / cpu)


def main(arguments: list[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.simulated", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=600.0, help="of each file")
    parser.add_argument("--speed", type=float, default=0.0, help="x real time of the device; 0: it answers at once")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    report = Report("simulated", conditions({}), "two files of 60 s")
    measure(report, Load(options.files, options.seconds, options.speed))
    report.show()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
