"""Our engine without the queue: files read by ffmpeg, one stream each, `at_once` of them concurrently."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.audio import ffmpeg_program, read
from bench.contenders.automodel import timed_stages
from bench.contenders.protocol import Outcome, Spec
from common.transcript.values import Sentence, joined_text
from worker.engine.bundles.bundles import from_directory
from worker.engine.engine import Engine
from worker.engine.recognition.networks import PackedNetworks, PaddedNetworks

BLOCK_SAMPLES = 2 * 16_000
Block = NDArray[np.int16]


def load_engine(spec: Spec) -> Engine:
    """An engine with its defaults, except for the options in the spec."""
    paths = from_directory(spec.bundle)
    engine = Engine.load(paths, spec.device, spec.precision, threads=spec.threads, **spec.options)
    gc.freeze()  # as the worker does
    return engine


def transcribe(engine: Engine, file: str | Path, key: str) -> list[Sentence]:
    """Transcribe a whole file through one stream."""
    stream = engine.stream(key=key)
    sentences: list[Sentence] = []
    for block in blocks(file):
        sentences += stream.accept(block)
    return sentences + stream.finish()


def blocks(file: str | Path) -> Iterator[Block]:
    """A file as the worker reads it, int16 [n]; read by soundfile on machines without the ffmpeg package."""
    if not ffmpeg_program():
        samples = read(Path(file))
        for first in range(0, len(samples), BLOCK_SAMPLES):
            yield samples[first : first + BLOCK_SAMPLES]
        return
    from worker.engine.audio import AudioReader, DecodeLimits

    limits = DecodeLimits(max_duration_ms=None, cpu_seconds=3600, memory_bytes=2 << 30, idle_timeout_seconds=120)
    with AudioReader(Path(file), limits=limits) as reader:
        for block in reader.blocks(BLOCK_SAMPLES):
            yield block[0]


class Ours:
    """Our engine; all files of a run go through one device."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._engine = load_engine(spec)

    def run(self, files: Sequence[str]) -> Outcome:
        """Transcribe all files, `at_once` in parallel; the details contain the batcher's counters."""
        before, started = self._engine.stats(), time.perf_counter()
        with ThreadPoolExecutor(self._spec.at_once) as threads:
            numbered = [f"{number}" for number in range(len(files))]
            results = list(threads.map(transcribe, [self._engine] * len(files), files, numbered))
        words = sum(len(sentence.words) for sentences in results for sentence in sentences)
        details = _details(before, self._engine.stats(), time.perf_counter() - started)
        return Outcome([joined_text(sentences) for sentences in results], words, details)

    def stages(self, files: Sequence[str]) -> dict[str, float]:
        """Seconds by engine stage, summed over the threads that run it; on a CPU that is one thread per core."""
        engine: Any = self._engine
        recogniser, networks = engine._recogniser, engine._recogniser._networks
        named = {
            "VAD": (engine._vad, "score"),
            "features": (recogniser, "_frontend"),
            **_stages_of(networks),
            "words": (recogniser, "_words"),
            "punctuation": (engine.punctuator, "label"),
        }
        return timed_stages(named, lambda: self.run(files), self._spec.device)


def _stages_of(networks: Any) -> dict[str, tuple[Any, str]]:
    """The methods of each of the networks' stages, by their kind."""
    if isinstance(networks, PaddedNetworks):
        model = networks._model
        return {
            "encoder": (model, "encode"),
            "predictor": (networks.predictor, "integrate"),
            "timestamp head": (networks.predictor, "upsampled"),
            "decoder": (networks, "_decode"),
        }
    decoder = networks._decoder
    packed = {
        "encoder": (networks, "_encoder"),
        "decoder": (decoder, "states"),
        "output layer": (decoder, "logits"),
    }
    if isinstance(networks, PackedNetworks):
        return {**packed, "predictor": (networks, "_integrate"), "timestamp head": (networks, "_weights")}
    rows = networks._predictor
    return {**packed, "predictor": (rows, "embeddings"), "timestamp head": (rows, "upsampled")}


def _details(before: Any, after: Any, wall_seconds: float) -> dict[str, Any]:
    """The batcher's counters over a run."""
    real = after.real_seconds - before.real_seconds
    padded = after.padded_seconds - before.padded_seconds
    busy = after.busy_seconds - before.busy_seconds
    return {
        "padded_over_real": padded / real if real else None,
        "device_idle_share": max(0.0, 1 - busy / wall_seconds),
        "batches": after.batches - before.batches,
        "segments": after.segments - before.segments,
        "speech_seconds": real,
        "budget_seconds": after.budget_seconds,
    }
