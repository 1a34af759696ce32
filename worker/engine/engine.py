"""The engine: one device, its models, and the batcher shared by all streams."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import torch

from common.errors import ModelUnavailable
from common.options.model_cards import ModelCard
from common.options.segmentation import SEGMENTATIONS, Segmentation, SegmentationName, segmentation_name
from worker.engine.assembly import punctuator_of, recogniser_of, release, vad_of
from worker.engine.batching.batcher import Batcher, BatcherOptions, BatcherStats
from worker.engine.batching.budget import DeviceMemory, Memory, Trial, find_budget
from worker.engine.batching.packing import HORIZON_BUDGETS
from worker.engine.bundles.bundles import BundlePaths, speaker_model_of
from worker.engine.bundles.loading import LoadedBundle, load
from worker.engine.device.choice import chosen_device, keep_float32_exact
from worker.engine.device.faults import DeviceLost, attempt_twice
from worker.engine.device.torch_faults import torch_fault_rules
from worker.engine.options import MOST_QUEUED_SECONDS, EngineOptions, GpuLayout
from worker.engine.punctuation.punctuator import Labels
from worker.engine.recognition.compute_threads import ComputeThreads
from worker.engine.recognition.utterance import Recognised, Segment, Utterance
from worker.engine.resume_state import StateIdentity
from worker.engine.speakers.campplus import Embedder, Embeddings
from worker.engine.stopwatch import Stopwatch
from worker.engine.stream import SAMPLE_RATE, RecognitionStream
from worker.engine.vad.detector import VadStream
from worker.engine.vad.network import Caches

Scored = tuple[torch.Tensor, Caches]
Value = TypeVar("Value")


class Engine:
    """Turns audio into sentences. Streams may be used from many threads."""

    def __init__(self, bundle: LoadedBundle, options: EngineOptions) -> None:
        self._bundle = bundle
        self._options = options
        self.max_segment_ms = options.max_segment_ms
        self.segmentation = options.segmentation
        as_gpu = bundle.device.type != "cpu" if options.as_gpu is None else options.as_gpu
        self._recogniser = recogniser_of(bundle, options.gpu_networks if as_gpu else None)
        self._vad = vad_of(bundle)
        self.trials: list[Trial] = []
        self.vad_lookahead_ms = self._vad.config.lookahead_time_end_point
        self.punctuator = punctuator_of(bundle)
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
        self.batcher: Batcher[Utterance, Recognised] = Batcher(
            self._recogniser.transcribe, sizes, on_lost=self._device_lost
        )
        # On a CPU, small forward passes run beside a batch, each in one torch thread; a GPU has one thread for
        # everything.
        self._side_threads = ComputeThreads(1 if as_gpu else torch.get_num_threads())
        self._embedder = Embedder(bundle.spk.module, bundle.device, self._side_threads) if bundle.spk else None
        self.speaker_model = speaker_model_of(bundle.paths.spk) if bundle.paths.spk else None
        self._helper: Batcher[Any, Any] | None = None
        self._speakers: Batcher[Any, Any] | None = None
        if not as_gpu:
            self._helper = self._beside("helper")
            self._speakers = self._beside("speakers") if self._embedder else None

    def _beside(self, name: str) -> Batcher[Any, Any]:
        """A thread for device calls of one kind beside the recogniser's batches."""
        calls = BatcherOptions(1.0, 1.0, hang_seconds=self._options.hang_seconds, faults=self._faults)
        return Batcher(lambda items: items, calls, on_lost=self._device_lost, name=name)

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
        segmentation: SegmentationName | None = None,
        gpu_networks: GpuLayout = "packed",
    ) -> Engine:
        """Load a bundle onto a device (`cpu`, `cuda:0`, or `auto`: the first GPU, else the CPU) and start.

        Without a `segmentation`, the bundle's own is the default of its streams.

        Raises ModelUnavailable if the bundle's files are wrong, ConfigurationError for an unknown device or
        precision. Sets torch's threads and the exactness of its float32 products for the whole process.
        """
        torch.set_num_threads(threads or os.cpu_count() or 1)
        keep_float32_exact()
        bundle = load(paths, chosen_device(device), precision)
        default = segmentation or segmentation_name(paths.card.segmentation)
        options = EngineOptions(
            *(batch_seconds, queue_seconds, max_segment_ms, threads), segmentation=default, gpu_networks=gpu_networks
        )
        engine = cls(bundle, options)
        release(bundle, engine._recogniser)
        engine.warm_up()
        return engine

    @property
    def bundle(self) -> str:
        """The name of the model bundle."""
        return self._bundle.paths.name

    @property
    def card(self) -> ModelCard:
        """The model card from the bundle's definition, with what this engine does."""
        return replace(
            self._bundle.paths.card,
            segmentation=self.segmentation,
            hotwords=self._recogniser.tokenizer is not None,
            word_times=self._recogniser.times_words,
            speaker_model=self.speaker_model,
        )

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
        """The numeric precision of the networks."""
        return self._bundle.precision

    @property
    def networks(self) -> str:
        """The layout of the networks: `packed`, or `padded` and why."""
        return self._recogniser.description

    @property
    def state_identity(self) -> StateIdentity:
        """The identity that an engine needs to continue from a state of this engine's streams of the default kind."""
        default = SEGMENTATIONS[self.segmentation]
        return StateIdentity(self.revision, self.precision, self.max_segment_ms, default)

    def stream(
        self,
        channel: int = 0,
        key: Hashable = None,
        state: bytes | None = None,
        stopwatch: Stopwatch | None = None,
        *,
        speakers: bool = False,
        segmentation: SegmentationName | None = None,
        hotwords: tuple[str, ...] = (),
        language: str | None = None,
    ) -> RecognitionStream:
        """A stream for one channel of a job; the `language` of what is said matters to models that ask for it.

        `key` identifies the job for fairness; `stopwatch` measures its stages; `speakers`: whether it also collects
        embeddings of what is said; `hotwords` are for a recogniser that takes them. With a `state` the stream continues
        and must be fed from its `resume_sample`; raises StaleState if it cannot be read or comes from another model,
        precision, segmentation, list of hotwords or version. Raises ModelUnavailable if speakers are asked of a bundle
        without a speaker model.
        """
        if speakers and self._embedder is None:
            raise ModelUnavailable(f"The model {self.bundle} has no speaker model on this worker.")
        chosen = SEGMENTATIONS[segmentation or self.segmentation]
        words = self._recogniser.tokenizer.words(hotwords) if self._recogniser.tokenizer else None
        return RecognitionStream(
            *(self, channel, key, state, stopwatch),
            speakers=speakers,
            segmentation=chosen,
            words=words,
            language=language,
        )

    def stats(self) -> BatcherStats:
        """Counters for metrics."""
        return self.batcher.stats()

    def memory(self) -> DeviceMemory:
        """The device's current memory, for metrics."""
        return Memory(self._bundle.device).now()

    @property
    def lost(self) -> bool:
        """Whether the device is lost."""
        return self._lost is not None

    def on_device_lost(self, action: Callable[[DeviceLost], None]) -> None:
        """Register an action to call once, from any thread, when the device is lost; immediately if it already is.

        All streams then raise DeviceLost. The process must end: nothing in it can use the device again.
        """
        with self._losing:
            self._on_lost.append(action)
            lost = self._lost
        if lost is not None:
            action(lost)

    def close(self) -> None:
        """Stop the engine's threads; streams raise Unavailable. Threads of a lost device are abandoned."""
        for batcher in (self.batcher, self._helper, self._speakers):
            if batcher is not None:
                batcher.close()
        if self._lost is not None:
            return
        self._side_threads.close()
        self._recogniser.close()

    def warm_up(self) -> None:
        """Run every network once, so that the first job does not incur compilation and cache warm-up."""
        noise = np.random.default_rng(0).integers(-300, 300, 2 * SAMPLE_RATE, dtype=np.int16)
        self.batcher.submit("warm-up", Utterance(noise), 2.0).result()
        stream = self.stream(key="warm-up")
        stream.accept(noise)
        stream.finish()
        self.label([0])
        if self._embedder is not None:
            self.embed(noise).result()

    def label(self, window: list[int]) -> Labels:
        """Punctuation labels of one window, batched with other waiting windows; only one thread uses that model."""
        return (self._helper or self.batcher).call(self.punctuator.label, window)

    def embed(self, segment: Segment) -> Future[Embeddings]:
        """Begin the embeddings of a segment's windows, float16 [windows, 192], batched with other waiting segments."""
        if self._embedder is None:
            raise ModelUnavailable(f"The model {self.bundle} has no speaker model on this worker.")
        return (self._speakers or self.batcher).begin(self._embedder.embed, segment)

    def _measured_budget(self) -> float:
        """Measure the padded seconds of a batch, before the device thread exists."""
        noise = np.random.default_rng(0).integers(-300, 300, 60 * SAMPLE_RATE, dtype=np.int16)

        def run(segments: int, seconds: float) -> None:
            self._recogniser.rehearse([noise[: int(seconds * SAMPLE_RATE)]] * segments)

        run(2, 1.0)
        longest = (self.max_segment_ms or self._vad.config.max_single_segment_time) / 1000
        budget, self.trials = find_budget(run, Memory(self._bundle.device), min(longest, 60.0))
        return budget

    def vad_stream(self, state: dict[str, Any] | None, segmentation: Segmentation) -> VadStream:
        """A VAD stream, new or resumed, whose network runs on the device thread."""
        if state is None:
            return self._vad.stream(
                self.max_segment_ms, segmentation=segmentation, score=self._score, retry=self._in_job_thread
            )
        return self._vad.restore(state, score=self._score, retry=self._in_job_thread)

    def _score(self, features: torch.Tensor, caches: Caches) -> Scored:
        if self._helper is not None:
            return self._side_threads.call(self._vad.score, features, caches)
        return self.batcher.call(self._score_all, (features, caches))

    def _score_all(self, calls: Sequence[tuple[torch.Tensor, Caches]]) -> list[Scored]:
        return [self._vad.score(features, caches) for features, caches in calls]

    def _in_job_thread(self, call: Callable[[], Value]) -> Value:
        """Run a computation on the device in a job's own thread, with the error rules of the device thread."""
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
        for batcher in (self.batcher, self._helper, self._speakers):
            if batcher is not None:
                batcher.lose(error)
        for action in actions:
            action(error)
