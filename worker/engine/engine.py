"""The engine: one device, its models, and the batcher that all streams meet in."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from common.errors import ConfigurationError
from common.model_cards import ModelCard
from common.transcript.values import Word
from worker.engine.batching.batcher import Batcher, BatcherOptions, BatcherStats
from worker.engine.batching.budget import DeviceMemory, Memory, Trial, find_budget
from worker.engine.batching.packing import HORIZON_BUDGETS
from worker.engine.bundles.bundles import WORDS_FILE, BundlePaths
from worker.engine.bundles.loading import LoadedBundle, ModelPart, load
from worker.engine.device.faults import DeviceLost, attempt_twice
from worker.engine.device.torch_faults import torch_fault_rules
from worker.engine.features import AsrFrontend, load_cmvn
from worker.engine.punctuation.punctuator import Labels, Punctuator
from worker.engine.punctuation.segmenter import Segmenter
from worker.engine.recognition.compute_threads import ComputeThreads
from worker.engine.recognition.linear import FLOAT, INT8
from worker.engine.recognition.networks import Networks, PackedNetworks, PaddedNetworks
from worker.engine.recognition.paraformer import Paraformer
from worker.engine.recognition.words import Vocabulary
from worker.engine.resume_state import StateIdentity
from worker.engine.stopwatch import Stopwatch
from worker.engine.stream import SAMPLE_RATE, RecognitionStream
from worker.engine.vad.detector import FIXED, Vad, VadConfig, VadStream
from worker.engine.vad.network import Caches

Segment = NDArray[np.int16]
Scored = tuple[torch.Tensor, Caches]
Value = TypeVar("Value")

MOST_QUEUED_SECONDS = 4 * 3600.0
"""Speech of all streams that waits for the device, whatever the batch budget: 460 MB of samples."""


@dataclass(frozen=True)
class EngineOptions:
    """How the engine uses its device.

    `batch_seconds` bounds the padded seconds of a batch (None: measured at start), `queue_seconds` what one stream
    may have waiting (default: two batches). A free device waits `max_queue_delay_seconds` for a batch to fill.
    `max_segment_ms` is the longest segment; None cuts as FunASR does. `threads` are those that recognition takes on
    the CPU; 0 means one per core. A call on the device that lasts `hang_seconds` means that the device hangs.
    `segmentation` is a mode of `worker.engine.vad`.
    `gpu_layout` runs padded networks and one thread for everything, as on a GPU; None: where the device is one.
    """

    batch_seconds: float | None = None
    queue_seconds: float | None = None
    max_segment_ms: int | None = 30_000
    threads: int = 0
    max_queue_delay_seconds: float = 0.02
    hang_seconds: float = 600.0
    gpu_layout: bool | None = None
    segmentation: str = FIXED


class Engine:
    """Turns audio into sentences. Streams may be used from many threads."""

    def __init__(self, bundle: LoadedBundle, options: EngineOptions) -> None:
        self._bundle = bundle
        self.max_segment_ms = options.max_segment_ms
        self.segmentation = options.segmentation
        gpu_layout = bundle.device.type != "cpu" if options.gpu_layout is None else options.gpu_layout
        self._recogniser = _recogniser(bundle, gpu_layout)
        self._vad = _vad(bundle)
        self.trials: list[Trial] = []
        self.vad_lookahead_ms = self._vad.config.lookahead_time_end_point
        self.punctuator = _punctuator(bundle)
        self._faults = torch_fault_rules(bundle.device)
        self._lost: DeviceLost | None = None
        self._on_lost: list[Callable[[DeviceLost], None]] = []
        self._losing = threading.Lock()
        budget = options.batch_seconds or self._measured_budget()
        sizes = BatcherOptions(
            budget_seconds=budget,
            queue_seconds=options.queue_seconds or 2 * budget,
            total_queue_seconds=min(HORIZON_BUDGETS * budget, MOST_QUEUED_SECONDS),
            max_queue_delay_seconds=options.max_queue_delay_seconds,
            hang_seconds=options.hang_seconds,
            faults=self._faults,
        )
        self.batcher: Batcher[Segment, list[Word]] = Batcher(
            self._recogniser.recognise, sizes, on_lost=self._device_lost
        )
        # On a CPU small forwards run beside a batch, in a torch thread each; a GPU has one thread for everything.
        self._vad_threads = ComputeThreads(1 if gpu_layout else torch.get_num_threads())
        self._helper: Batcher[Any, Any] | None = None
        if not gpu_layout:
            calls = BatcherOptions(1.0, 1.0, hang_seconds=options.hang_seconds, faults=self._faults)
            self._helper = Batcher(lambda items: items, calls, on_lost=self._device_lost, name="helper")

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
        segmentation: str = FIXED,
    ) -> Engine:
        """Load a bundle onto a device (`cpu`, `cuda:0`, or `auto`: the first GPU, else the CPU) and start.

        Raises ModelUnavailable if the bundle's files are wrong, ConfigurationError for an unknown device or
        precision. Sets torch's threads for the whole process.
        """
        torch.set_num_threads(threads or os.cpu_count() or 1)
        bundle = load(paths, _device(device), precision)
        options = EngineOptions(batch_seconds, queue_seconds, max_segment_ms, threads, segmentation=segmentation)
        engine = cls(bundle, options)
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

    @property
    def state_identity(self) -> StateIdentity:
        """Which engines can continue from a state of one of this engine's streams."""
        return StateIdentity(self.revision, self.precision, self.max_segment_ms, self.segmentation)

    def stream(
        self,
        channel: int = 0,
        key: Hashable = None,
        state: bytes | None = None,
        stopwatch: Stopwatch | None = None,
    ) -> RecognitionStream:
        """A stream for one channel of a job.

        `key` names the job for fairness; `stopwatch` is told how long its stages take. With a `state` the stream
        continues, and is fed from its `resume_sample`; raises StaleState if it cannot be read, or if that state comes
        from another model, precision or version.
        """
        return RecognitionStream(self, channel, key, state, stopwatch)

    def stats(self) -> BatcherStats:
        """Counters for metrics."""
        return self.batcher.stats()

    def memory(self) -> DeviceMemory:
        """What the device has of memory now; for metrics."""
        return Memory(self._bundle.device).now()

    @property
    def lost(self) -> bool:
        """Whether the device does not work any more."""
        return self._lost is not None

    def on_device_lost(self, action: Callable[[DeviceLost], None]) -> None:
        """What to call, once and from any thread, when the device does not work any more; at once if that is so.

        All streams raise DeviceLost then. The process has to end: nothing in it can use the device again.
        """
        with self._losing:
            self._on_lost.append(action)
            lost = self._lost
        if lost is not None:
            action(lost)

    def close(self) -> None:
        """Stop the engine's threads; streams get Unavailable. Threads of a device that is lost are left behind."""
        self.batcher.close()
        if self._helper is not None:
            self._helper.close()
        if self._lost is not None:
            return
        self._vad_threads.close()
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
        return (self._helper or self.batcher).call(self.punctuator.label, window)

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
            return self._vad.stream(
                self.max_segment_ms, segmentation=self.segmentation, score=self._score, retry=self._in_job_thread
            )
        return self._vad.restore(state, score=self._score, retry=self._in_job_thread)

    def _score(self, features: torch.Tensor, caches: Caches) -> Scored:
        if self._helper is not None:
            return self._vad_threads.call(self._vad.score, features, caches)
        return self.batcher.call(self._score_all, (features, caches))

    def _score_all(self, calls: Sequence[tuple[torch.Tensor, Caches]]) -> list[Scored]:
        return [self._vad.score(features, caches) for features, caches in calls]

    def _in_job_thread(self, call: Callable[[], Value]) -> Value:
        """A computation that a job's own thread makes on the device: the same rules for errors as on its thread."""
        try:
            value, error = attempt_twice(self._faults, call)
        except DeviceLost as lost:
            self._device_lost(lost)
            raise
        if error is not None:
            raise error
        return cast(Value, value)

    def _device_lost(self, error: DeviceLost) -> None:
        with self._losing:
            if self._lost is not None:
                return
            self._lost = error
            actions = list(self._on_lost)
        for batcher in (self.batcher, self._helper):
            if batcher is not None:
                batcher.lose(error)
        for action in actions:
            action(error)


def _recogniser(bundle: LoadedBundle, gpu_layout: bool) -> Paraformer:
    part, model = bundle.asr, bundle.asr.module
    window, shift = _stacking(part, default=(7, 6))
    frontend = AsrFrontend(load_cmvn(part.files["am.mvn"]), m=window, n=shift, device=bundle.device)
    networks: Networks
    if gpu_layout:
        networks, threads = PaddedNetworks(model, bundle.device, bundle.precision), ComputeThreads(1)
    else:
        networks = PackedNetworks(model, INT8 if bundle.precision == "int8" else FLOAT)
        threads = ComputeThreads(torch.get_num_threads())
    return Paraformer(networks, frontend, Vocabulary(part.tokens), {model.blank_id, model.sos, model.eos}, threads)


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
        raise ConfigurationError(f"The device {name!r} is configured, but torch sees {torch.cuda.device_count()} GPUs.")
    if device.type not in ("cpu", "cuda"):
        raise ConfigurationError(f"The device {name!r} is neither cpu nor cuda.")
    return device
