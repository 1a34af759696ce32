"""funasr-onnx with FunASR's own quantised export: VAD, recognition and punctuation, as a CPU user would run it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from funasr_onnx import CT_Transformer, Fsmn_vad, Paraformer

from bench.contenders.protocol import Outcome, Spec
from bench.decoding import SAMPLE_RATE, decoded


class _Paraformer(Paraformer):  # type: ignore[misc, unused-ignore]
    """Accepts arrays for the segments of a file; the original `load_data` takes only a list of paths."""

    def load_data(self, wav_content: Any, fs: int | None = None) -> list[Any]:
        if isinstance(wav_content, list):
            return wav_content
        return list(super().load_data(wav_content, fs))


class FunasrOnnx:
    """Transcribes one file after the other; the segments of a file are sorted by length, `batch` at a time."""

    def __init__(self, spec: Spec) -> None:
        self._ffmpeg = spec.ffmpeg
        quantised = spec.precision == "int8"
        models = Path(spec.onnx)
        common: dict[str, Any] = {"quantize": quantised, "intra_op_num_threads": spec.threads}
        self._batch = int(spec.options.get("batch", 1))
        self._vad = Fsmn_vad(str(models / "vad"), **common)
        self._recognise = _Paraformer(str(models / "asr"), batch_size=self._batch, **common)
        self._punctuate = CT_Transformer(str(models / "punc"), **common)
        self._seconds: dict[str, float] = {}

    def run(self, files: Sequence[str]) -> Outcome:
        """Transcribe all files."""
        texts, words = [], 0
        for file in files:
            text, count = self._transcribe(file)
            texts.append(text)
            words += count
        return Outcome(texts, words)

    def stages(self, files: Sequence[str]) -> dict[str, float]:
        """Seconds by each of its three models."""
        self._seconds = {}
        started = time.perf_counter()
        self.run(files)
        whole = time.perf_counter() - started
        return {**self._seconds, "other": whole - sum(self._seconds.values()), "all": whole}

    def _transcribe(self, file: str) -> tuple[str, int]:
        samples = decoded(file, self._ffmpeg)
        started = time.perf_counter()
        segments = sorted(self._vad(samples)[0], key=lambda segment: segment[1] - segment[0])
        recognised: list[tuple[int, str, int]] = []
        begun = self._note("VAD", started)
        for first in range(0, len(segments), self._batch):
            group = segments[first : first + self._batch]
            pieces = [samples[begin * SAMPLE_RATE // 1000 : end * SAMPLE_RATE // 1000] for begin, end in group]
            results = self._recognise([np.asarray(piece) for piece in pieces])
            batch = [(result["preds"], len(result["timestamp"])) for result in results]
            recognised += [(begin, *one) for (begin, _), one in zip(group, batch, strict=True)]
        begun = self._note("recognition", begun)
        plain = " ".join(text for _, text, _ in sorted(recognised) if text)
        text = self._punctuate(plain)[0] if plain else ""
        self._note("punctuation", begun)
        return text, sum(count for _, _, count in recognised)

    def _note(self, stage: str, started: float) -> float:
        now = time.perf_counter()
        self._seconds[stage] = self._seconds.get(stage, 0.0) + now - started
        return now
