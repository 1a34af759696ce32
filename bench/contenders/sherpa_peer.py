"""sherpa-onnx on FunASR's exported recogniser. It has no FSMN-VAD: it is given the segments of funasr-onnx's, outside
of its time, and it puts no punctuation. What is measured is its recognition alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import sherpa_onnx
from funasr_onnx import Fsmn_vad
from numpy.typing import NDArray

from bench.contenders.protocol import Outcome, Spec
from bench.decoding import SAMPLE_RATE, decoded


class SherpaOnnx:
    """All segments of a file, `batch` at a time."""

    def __init__(self, spec: Spec) -> None:
        self._ffmpeg = spec.ffmpeg
        self._batch = int(spec.options.get("batch", 4))
        models = Path(spec.onnx)
        name = "sherpa_quant.onnx" if spec.precision == "int8" else "sherpa.onnx"
        self._recogniser = sherpa_onnx.OfflineRecognizer.from_paraformer(
            paraformer=str(models / "asr" / name), tokens=str(models / "asr" / "tokens.txt"), num_threads=spec.threads
        )
        self._vad = Fsmn_vad(str(models / "vad"), quantize=False, intra_op_num_threads=spec.threads)
        self._segments: dict[str, list[NDArray[np.float32]]] = {}

    def run(self, files: Sequence[str]) -> Outcome:
        """All files; the first run over a file also cuts it, so that only later ones count."""
        texts, words = [], 0
        for file in files:
            streams = []
            for samples in self._cut(file):
                stream = self._recogniser.create_stream()
                stream.accept_waveform(SAMPLE_RATE, samples)
                streams.append(stream)
            for first in range(0, len(streams), self._batch):
                self._recogniser.decode_streams(streams[first : first + self._batch])
            texts.append("".join(stream.result.text for stream in streams))
            words += sum(len(stream.result.tokens) for stream in streams)
        return Outcome(texts, words)

    def stages(self, _: Sequence[str]) -> dict[str, float]:
        """It is one stage."""
        return {}

    def _cut(self, file: str) -> list[NDArray[np.float32]]:
        if file not in self._segments:
            samples = decoded(file, self._ffmpeg)
            cuts = sorted(self._vad(samples)[0], key=lambda segment: segment[1] - segment[0])
            scale = SAMPLE_RATE // 1000
            self._segments[file] = [samples[begin * scale : end * scale] for begin, end in cuts]
        return self._segments[file]
