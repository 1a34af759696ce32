"""The engine: one device, its models, and the batcher that all streams meet in."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import ConfigurationError
from common.model_cards import ModelCard
from common.transcript.values import Word

from .batcher import Batcher, BatcherStats
from .budget import DeviceMemory, Memory, Trial, find_budget
from .bundles import WORDS_FILE, BundlePaths
from .features import AsrFrontend, load_cmvn
from .lanes import Lanes
from .linear import FLOAT, INT8
from .loading import LoadedBundle, ModelPart, load
from .networks import Networks, PackedNetworks, PaddedNetworks
from .paraformer import Paraformer
from .punctuation import Labels, Punctuator
from .segmenter import Segmenter
from .stopwatch import Stopwatch
from .stream import SAMPLE_RATE, RecognitionStream
from .vad import Vad, VadConfig, VadStream
from .vad_network import Caches
from .words import Vocabulary

Segment = NDArray[np.int16]


@dataclass(frozen=True)
class EngineOptions:
    """How the engine uses its device.

    `batch_seconds` bounds the padded seconds of a batch (None: measured at start), `queue_seconds` what one stream
    may have waiting (default: two batches). A free device waits `fill_seconds` for a batch to fill.
    `max_segment_ms` is the longest segment; None cuts as FunASR does. `threads` are those that recognition takes on
    the CPU; 0 means one per core.
    """

    batch_seconds: float | None = None
    queue_seconds: float | None = None
    max_segment_ms: int | None = 30_000
    threads: int = 0
    fill_seconds: float = 0.02


class Engine:
    """Turns audio into sentences. Streams may be used from many threads."""

    def __init__(self, bundle: LoadedBundle, options: EngineOptions) -> None:
        self._bundle = bundle
        self.max_segment_ms = options.max_segment_ms
        self._recogniser = _recogniser(bundle)
        self._vad = _vad(bundle)
        self.trials: list[Trial] = []
        self.vad_lookahead_ms = self._vad.config.lookahead_time_end_point
        self.punctuator = _punctuator(bundle)
        budget = options.batch_seconds or self._measured_budget()
        self.batcher: Batcher[Segment, list[Word]] = Batcher(
            self._recogniser.recognise,
            budget_seconds=budget,
            queue_seconds=options.queue_seconds or 2 * budget,
            fill_seconds=options.fill_seconds,
            is_out_of_memory=_is_out_of_memory,
        )
        # On a CPU small forwards go on beside a batch, on a thread of torch each; a GPU has one thread.
        on_cpu = bundle.device.type == "cpu"
        self._listeners = Lanes(torch.get_num_threads() if on_cpu else 1)
        self._helper: Batcher[Any, Any] | None = None
        if on_cpu:
            self._helper = Batcher(lambda items: items, budget_seconds=1.0, queue_seconds=1.0, name="helper")

    @classmethod
    def load(
        cls,
        paths: BundlePaths,
        device: str = "auto",
        precision: str = "fp32",
        *,
        threads: int = 0,
        batch_seconds: float | None = None,
        max_segment_ms: int | None = 30_000,
        queue_seconds: float | None = None,
    ) -> Engine:
        """Load a bundle onto a device (`cpu`, `cuda:0`, or `auto`: the first GPU, else the CPU) and start.

        Raises ModelUnavailable if the bundle's files are wrong, ConfigurationError for an unknown device or
        precision. Sets torch's threads for the whole process.
        """
        torch.set_num_threads(threads or os.cpu_count() or 1)
        bundle = load(paths, _device(device), precision)
        engine = cls(bundle, EngineOptions(batch_seconds, queue_seconds, max_segment_ms, threads))
        _release(bundle)
        engine.warm_up()
        return engine

    @property
    def bundle(self) -> str:
        """The name of the model bundle."""
        return self._bundle.paths.name

    @property
    def card(self) -> ModelCard:
        """What the bundle's definition says of the model."""
        return self._bundle.paths.card

    @property
    def revision(self) -> str:
        """The bundle's pinned revision, or a hash of its files."""
        return self._bundle.paths.revision

    @property
    def device(self) -> str:
        """`cpu`, `cuda:0`, …"""
        return str(self._bundle.device)

    @property
    def precision(self) -> str:
        """Arithmetic of the networks."""
        return self._bundle.precision

    def stream(
        self,
        channel: int = 0,
        key: Hashable = None,
        state: bytes | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> RecognitionStream:
        """A stream for one channel of a job.

        `key` names the job for fairness; `stopwatch` is told how long its stages take. With a `state` the stream
        continues, and is fed from its `resume_sample`; raises InvalidRequest if that state comes from another model,
        precision or version.
        """
        return RecognitionStream(self, channel, key, state, stopwatch)

    def stats(self) -> BatcherStats:
        """Counters for metrics."""
        return self.batcher.stats()

    def memory(self) -> DeviceMemory:
        """What the device has of memory now; for metrics."""
        return Memory(self._bundle.device).now()

    def close(self) -> None:
        """Stop the engine's threads; streams get Unavailable."""
        self.batcher.close()
        if self._helper is not None:
            self._helper.close()
        self._listeners.close()
        self._recogniser.close()

    def warm_up(self) -> None:
        """Run every network once, so that the first job does not pay for compilation and caches."""
        noise = np.random.default_rng(0).integers(-300, 300, 2 * SAMPLE_RATE, dtype=np.int16)
        self.batcher.submit("warm-up", noise, 2.0).result()
        stream = self.stream(key="warm-up")
        stream.accept(noise)
        stream.finish()
        self.label([0])

    def label(self, window: list[int]) -> Labels:
        """Punctuation labels of one window, together with other waiting windows; one thread touches that model."""
        return (self._helper or self.batcher).ask(self.punctuator.label, window)

    def _measured_budget(self) -> float:
        """Padded seconds of a batch, by trying; before there is a device's thread."""
        noise = np.random.default_rng(0).integers(-300, 300, 60 * SAMPLE_RATE, dtype=np.int16)

        def run(segments: int, seconds: float) -> None:
            self._recogniser.recognise([noise[: int(seconds * SAMPLE_RATE)]] * segments)

        run(2, 1.0)
        longest = (self.max_segment_ms or self._vad.config.max_single_segment_time) / 1000
        budget, self.trials = find_budget(run, Memory(self._bundle.device), min(longest, 60.0))
        return budget

    def vad_stream(self, state: dict[str, Any] | None) -> VadStream:
        """A VAD stream, new or continued, whose network runs on the device's thread."""
        if state is None:
            return self._vad.stream(self.max_segment_ms, score=self._score)
        return self._vad.restore(state, score=self._score)

    def _score(self, features: torch.Tensor, caches: Caches) -> torch.Tensor:
        if self._helper is not None:
            return self._listeners.call(self._vad.score, features, caches)
        return self.batcher.ask(self._score_all, (features, caches))

    def _score_all(self, questions: Sequence[tuple[torch.Tensor, Caches]]) -> list[torch.Tensor]:
        return [self._vad.score(features, caches) for features, caches in questions]


def _recogniser(bundle: LoadedBundle) -> Paraformer:
    part, model = bundle.asr, bundle.asr.module
    window, shift = _stacking(part, default=(7, 6))
    frontend = AsrFrontend(load_cmvn(part.files["am.mvn"]), m=window, n=shift, device=bundle.device)
    networks: Networks
    if bundle.device.type == "cpu":
        networks = PackedNetworks(model, INT8 if bundle.precision == "int8" else FLOAT)
        lanes = Lanes(torch.get_num_threads())
    else:
        networks, lanes = PaddedNetworks(model, bundle.device, bundle.precision), Lanes(1)
    return Paraformer(networks, frontend, Vocabulary(part.tokens), {model.blank_id, model.sos, model.eos}, lanes)


def _release(bundle: LoadedBundle) -> None:
    """Drop the weights of which the networks hold packed copies: else they would be in memory twice."""
    if bundle.device.type == "cpu":
        for part in (bundle.asr.module.encoder, bundle.asr.module.decoder):
            for module in part.modules():
                if isinstance(module, torch.nn.Linear):
                    module.weight.data = torch.empty(0)


def _punctuator(bundle: LoadedBundle) -> Punctuator:
    part = bundle.punc
    segmenter = Segmenter(part.files[WORDS_FILE]) if part.counts_words else None
    return Punctuator(part.module, part.tokens, bundle.device, segmenter)


def _vad(bundle: LoadedBundle) -> Vad:
    part = bundle.vad
    window, _ = _stacking(part, default=(5, 1))
    return Vad(part.module, load_cmvn(part.files["am.mvn"]), VadConfig.of(part.module, window), bundle.device)


def _stacking(part: ModelPart, default: tuple[int, int]) -> tuple[int, int]:
    """How many frames a model reads at once and how far it steps (low frame rate)."""
    frontend = part.config.get("frontend_conf", {})
    return int(frontend.get("lfr_m", default[0])), int(frontend.get("lfr_n", default[1]))


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigurationError(f"There is no device {name!r}.") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigurationError(f"The device {name!r} was asked for, but torch sees {torch.cuda.device_count()} GPUs.")
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"The device {name!r} is neither cpu nor cuda.")
    return device


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether the device is full; gives back what torch's allocator holds, so that the next try has room."""
    if not isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return False
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return True
