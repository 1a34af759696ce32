"""VAD alone: processor time and segments, ours and FunASR's, over the same decoded samples, in both modes of FunASR."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.contenders.automodel import QUIET
from bench.contenders.protocol import Outcome, Spec
from bench.decoding import decoded
from common.options.segmentation import DYNAMIC, FIXED, SEGMENTATIONS, segmentation_name

BLOCK_SAMPLES = 2 * 16_000
STRETCH_FRAMES = 1000
MACHINE_HOURS = 10


class OurVad:
    """Features, network and endpoint detector as a stream uses them, with the cutter off."""

    def __init__(self, spec: Spec) -> None:
        import torch

        from worker.engine.assembly import vad_of
        from worker.engine.bundles import loading
        from worker.engine.bundles.bundles import from_directory

        torch.set_num_threads(spec.threads)
        self._ffmpeg = spec.ffmpeg
        self._vad = vad_of(loading.load(from_directory(spec.bundle), spec.device))
        self._segmentation = SEGMENTATIONS[segmentation_name(spec.options.get("segmentation", FIXED))]

    def run(self, files: Sequence[str]) -> Outcome:
        """Process one file after the other."""
        per_file, seconds = [], 0.0
        for file in files:
            samples = (decoded(file, self._ffmpeg) * 32768).astype(np.int16)
            started = time.process_time()
            stream = self._vad.stream(max_segment_ms=None, segmentation=self._segmentation)
            segments = []
            for first in range(0, len(samples), BLOCK_SAMPLES):
                segments += stream.accept(samples[first : first + BLOCK_SAMPLES])
            segments += stream.finish()
            seconds += time.process_time() - started
            per_file.append([list(segment) for segment in segments])
        return Outcome([], 0, {"seconds": seconds, "segments": per_file})

    def stages(self, _: Sequence[str]) -> dict[str, float]:
        """Measure the endpoint detector alone over hours of decisions, fed as a stream does."""
        from worker.engine.vad.endpoint import advance, new_memory

        generator = np.random.default_rng(1)
        runs = generator.integers(5, 300, MACHINE_HOURS * 3600)
        speech = np.repeat(np.arange(len(runs)) % 2, runs).astype(np.uint8)[: MACHINE_HOURS * 360_000]
        options: Any = self._vad.config.endpoint(None)
        for measured in (speech[: 10 * STRETCH_FRAMES], speech):  # the first run is for compilation
            memory, window = new_memory(), np.zeros(options.window, np.uint8)
            started = time.perf_counter()
            for first in range(0, len(measured), STRETCH_FRAMES):
                part = measured[first : first + STRETCH_FRAMES]
                out = np.empty((len(part) + 2, 2), np.int64)
                advance(part, first, first + STRETCH_FRAMES >= len(measured), memory, window, options, out)
            seconds = time.perf_counter() - started
        return {"machine": seconds, "audio": len(speech) / 100}


class FunasrVad:
    """AutoModel with only the VAD, in the same mode as ours."""

    def __init__(self, spec: Spec) -> None:
        from funasr import AutoModel

        self._ffmpeg = spec.ffmpeg
        self._model = AutoModel(model=str(Path(spec.bundle) / "vad"), device=spec.device, ncpu=spec.threads, **QUIET)
        self._dynamic = spec.options.get("segmentation", FIXED) == DYNAMIC

    def run(self, files: Sequence[str]) -> Outcome:
        """Process one file after the other."""
        per_file, seconds = [], 0.0
        for file in files:
            samples = decoded(file, self._ffmpeg)
            started = time.process_time()
            result = self._model.generate(input=samples, dynamic_silence=self._dynamic)
            seconds += time.process_time() - started
            per_file.append([list(map(int, segment)) for segment in result[0]["value"]])
        return Outcome([], 0, {"seconds": seconds, "segments": per_file})

    def stages(self, _: Sequence[str]) -> dict[str, float]:
        """Not measured: its stages are not accessible from outside."""
        return {}
