"""FSMN-VAD over an audio stream of any length, equal to FunASR's, with a state that can be saved.

The reference is `AutoModel(model=vad_dir).generate(wav, dynamic_silence=…)` of FunASR 1.4.16 on the whole file with
dither 0. FunASR feeds its network 60 s at a time and carries the caches over. With `dynamic_silence=False` its endpoint
detector does not depend on these boundaries, and neither does this module. With `dynamic_silence=True`, FunASR's
default, a lower threshold separates speech from noise, and the silence that ends a segment is chosen at the start of
each 60 s: 2 s if there is no speech at that point, else 0.2 s. A `Segmentation` says which, or has other values.

Scores are computed in stretches that end at fixed times of the audio, whatever the block sizes: blocks, saves
and restores cannot change them by a single bit. Paper of the network: Zhang et al., "Deep-FSMN for Large
Vocabulary Continuous Speech Recognition", https://arxiv.org/abs/1803.05030.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import asdict
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from common.errors import ModelUnavailable
from common.options.segmentation import SEGMENTATIONS, Segmentation
from worker.engine.features import MEL_BINS, SAMPLE_RATE, Cmvn, FeatureStream
from worker.engine.vad.config import (
    BLOCK_MS,
    DYNAMIC_SILENCE_IN_SPEECH_MS,
    DYNAMIC_SILENCE_MS,
    FRAME_MS,
    VadConfig,
)
from worker.engine.vad.endpoint import IN_SPEECH, MEMORY_SIZE, NEXT, PIECE, TAKEN, advance, new_memory
from worker.engine.vad.network import Caches, FsmnNetwork

STRETCH_MS = 10_000
DEFAULT = SEGMENTATIONS["fixed"]

Int16 = npt.NDArray[np.int16]
Segment = tuple[int, int]
Score = Callable[[torch.Tensor, Caches], tuple[torch.Tensor, Caches]]
"""(float32 features [1, T, D], caches of the network) → silence probability, float32 [T], and the next caches."""

Value = TypeVar("Value")


def _shortest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _once(call: Callable[[], Value]) -> Value:
    return call()


class Retry(Protocol):
    """Runs a call that has no side effects when it fails, and retries it if that may help."""

    def __call__(self, call: Callable[[], Value], /) -> Value:
        """Return the value of the call."""
        ...


class Vad:
    """A loaded FSMN-VAD. One object serves many streams, which may run in different threads.

    The network is stateless between calls. An engine with a dedicated device thread passes its own `score` to the
    streams, which runs `Vad.score` on that thread.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        cmvn: Cmvn | None,
        config: VadConfig | None = None,
        device: torch.device | str = "cpu",
        *,
        stretch_ms: int = STRETCH_MS,
    ) -> None:
        self.config = config or VadConfig.of(module)
        self.device = torch.device(device)
        self.stretch_samples = stretch_ms * SAMPLE_RATE // 1000
        self._network = FsmnNetwork(module.encoder, self.device, self.config.sil_pdf_ids)
        self._cmvn = cmvn.to(self.device) if cmvn is not None else None
        width = self.config.lfr_m * MEL_BINS
        if cmvn is not None and len(cmvn.shift) != width:
            raise ModelUnavailable(f"the VAD's normalisation has {len(cmvn.shift)} values, {width} were expected")

    def score(self, features: torch.Tensor, caches: Caches) -> tuple[torch.Tensor, Caches]:
        """Probability of silence, float32 [T], of normalised features [1, T, D], and the caches for the next call."""
        return self._network(features[0], caches)

    def normalised(self, features: torch.Tensor) -> torch.Tensor:
        """The network's input: stacked frames [T, D] after mean and variance normalisation."""
        return features if self._cmvn is None else self._cmvn.apply(features)

    def stream(
        self,
        max_segment_ms: int | None = 30_000,
        *,
        segmentation: Segmentation = DEFAULT,
        score: Score | None = None,
        retry: Retry = _once,
    ) -> VadStream:
        """A new stream from the start of the audio; without a limit (None) it cuts as FunASR does, hard at 60 s.

        The shorter one of `max_segment_ms` and the segmentation's own limit counts.

        `retry` runs the computation of each stretch and may repeat it after a failure.
        """
        return VadStream(self, max_segment_ms, segmentation, score or self.score, retry)

    def restore(self, state: dict[str, Any], *, score: Score | None = None, retry: Retry = _once) -> VadStream:
        """A stream that continues exactly where `VadStream.state()` was taken."""
        segmentation = Segmentation(**state["segmentation"])
        stream = VadStream(self, state["max_segment_ms"], segmentation, score or self.score, retry)
        stream._restore(state)
        return stream


class VadStream:
    """Detects the speech segments of one channel as its samples arrive."""

    def __init__(
        self, vad: Vad, max_segment_ms: int | None, segmentation: Segmentation, score: Score, retry: Retry
    ) -> None:
        if segmentation.dynamic and BLOCK_MS * SAMPLE_RATE // 1000 % vad.stretch_samples:
            raise ValueError("stretches must divide the 60 s after which the dynamic mode decides anew")
        self._vad = vad
        self._segmentation = segmentation
        self._config = vad.config.under(segmentation)
        self._score = score
        self._retry = retry
        self._max_segment_ms = max_segment_ms
        self._options = self._config.endpoint(_shortest(max_segment_ms, segmentation.longest_ms))
        self._features = FeatureStream(vad.config.lfr_m, vad.device)
        self._caches: Caches = {}
        self._memory = new_memory()
        self._window = np.zeros(self._options.window, np.uint8)
        self._speech = np.zeros(0, np.uint8)  # decisions from frame `_speech_from` on
        self._speech_from = 0
        self._waiting: list[Int16] = []
        self._waiting_samples = 0
        self._scored_samples = 0

    def accept(self, samples: Int16) -> list[Segment]:
        """Take int16 [n] more samples; return the segments (start_ms, end_ms) that are finished.

        Decisions are made one stretch at a time (`Vad.stretch_samples`), so they lag by up to one stretch.
        """
        self._waiting.append(samples)
        self._waiting_samples += len(samples)
        size = self._vad.stretch_samples
        if self._waiting_samples < size:
            return []
        joined = np.concatenate(self._waiting)
        segments: list[Segment] = []
        whole = len(joined) // size * size
        for begin in range(0, whole, size):
            segments += self._decide(joined[begin : begin + size], final=False)
        self._waiting = [joined[whole:].copy()]
        self._waiting_samples = len(joined) - whole
        return segments

    def finish(self) -> list[Segment]:
        """Finish at the end of the audio; return the remaining segments. The stream accepts nothing more."""
        rest = np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.int16)
        self._waiting, self._waiting_samples = [], 0
        return self._decide(rest, final=True)

    @property
    def position_samples(self) -> int:
        """Samples accepted so far; after a restore, the first sample to feed."""
        return self._scored_samples + self._waiting_samples

    @property
    def decided_ms(self) -> int:
        """Time up to which frames have been decided on."""
        return int(self._memory[NEXT]) * FRAME_MS

    @property
    def in_speech(self) -> bool:
        """Whether a segment is open at `decided_ms`."""
        return bool(self._memory[IN_SPEECH])

    @property
    def keep_from_ms(self) -> int:
        """No future segment starts before this time; audio before it may be dropped."""
        return self._earliest_frame() * FRAME_MS

    def _earliest_frame(self) -> int:
        if self.in_speech:
            return int(self._memory[PIECE])
        back = self._options.window + (self._options.lookback if self._options.extend else 0)
        return int(max(self._memory[TAKEN], self._memory[NEXT] - back, 0))

    def _begin_block(self) -> None:
        """Decide how much silence ends a segment in the next 60 s."""
        silence_ms = DYNAMIC_SILENCE_IN_SPEECH_MS if self.in_speech else DYNAMIC_SILENCE_MS
        end_silence_ms = max(silence_ms - self._config.speech_to_sil_time_thres, 0)
        self._options = self._options._replace(end_silence_ms=end_silence_ms)

    def _decide(self, samples: Int16, *, final: bool) -> list[Segment]:
        if self._segmentation.dynamic and self._scored_samples % (BLOCK_MS * SAMPLE_RATE // 1000) == 0:
            self._begin_block()
        features, caches, silence = self._retry(lambda: self._silence(samples, final))
        self._scored_samples += len(samples)
        self._features, self._caches = features, caches
        if len(silence) == 0:
            return []
        # FunASR: exp(log(1 - p)) >= exp(ratio * log p) + threshold.
        config = self._config
        speech = 1.0 - silence >= silence**config.speech_2_noise_ratio + config.speech_noise_thres
        self._speech = np.concatenate([self._speech, speech.astype(np.uint8)])
        out = np.empty((len(self._speech) + 2, 2), np.int64)
        count = advance(self._speech, self._speech_from, final, self._memory, self._window, self._options, out)
        forget = self._earliest_frame() - self._speech_from
        if forget > 0:
            self._speech = self._speech[forget:].copy()
            self._speech_from += forget
        return [(int(start) * FRAME_MS, int(end) * FRAME_MS) for start, end in out[:count]]

    def _silence(self, samples: Int16, final: bool) -> tuple[FeatureStream, Caches, npt.NDArray[np.float64]]:
        """Features, caches and silence probabilities after `samples`; has no side effects, so it may be repeated."""
        features = copy(self._features)  # a shallow copy is enough: arrays are replaced, never modified
        stacked = features.accept(samples, final=final)
        if len(stacked) == 0:
            return features, self._caches, np.empty(0)
        silence, caches = self._score(self._vad.normalised(stacked)[None], self._caches)
        return features, caches, silence.cpu().numpy().astype(np.float64)

    def state(self) -> dict[str, Any]:
        """The state for `Vad.restore`: numbers, None, flags and numpy arrays, nested at most one level.

        About 40 kB for the production model, plus the samples since the last stretch boundary (none if the position
        is a multiple of `Vad.stretch_samples`). It does not grow with the audio.
        """
        waiting = np.concatenate(self._waiting) if self._waiting else np.zeros(0, np.int16)
        features = {f"features_{name}": value for name, value in self._features.state().items()}
        return {
            "max_segment_ms": self._max_segment_ms,
            "segmentation": asdict(self._segmentation),
            "block_ms": BLOCK_MS,
            "end_silence_ms": self._options.end_silence_ms,
            "stretch_samples": self._vad.stretch_samples,
            "scored_samples": self._scored_samples,
            "waiting": waiting,
            "memory": self._memory.copy(),
            "window": self._window.copy(),
            "speech": self._speech.copy(),
            "speech_from": self._speech_from,
            "caches": {name: cache.cpu().numpy().copy() for name, cache in self._caches.items()},
            **features,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        if state["stretch_samples"] != self._vad.stretch_samples:
            raise ValueError("the state was saved with another stretch length")
        if state["block_ms"] != BLOCK_MS:
            raise ValueError("the state was saved with another length of blocks")
        self._options = self._options._replace(end_silence_ms=int(state["end_silence_ms"]))
        self._scored_samples = int(state["scored_samples"])
        waiting = np.array(state["waiting"], dtype=np.int16)
        self._waiting, self._waiting_samples = [waiting], len(waiting)
        self._memory = np.array(state["memory"], dtype=np.int64).reshape(MEMORY_SIZE)
        self._window = np.array(state["window"], dtype=np.uint8).reshape(self._options.window)
        self._speech = np.array(state["speech"], dtype=np.uint8)
        self._speech_from = int(state["speech_from"])
        device = self._vad.device
        self._caches = {
            name: torch.from_numpy(np.array(cache, dtype=np.float32)).to(device)
            for name, cache in state["caches"].items()
        }
        prefix = "features_"
        self._features.restore({n.removeprefix(prefix): v for n, v in state.items() if n.startswith(prefix)})
