"""What the workers count: attempts and their stages, the engine, leases, webhooks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.settings import Settings

if TYPE_CHECKING:
    from worker.engine.engine import Engine

ATTEMPTS = Counter(
    "paraqueue_attempts_total",
    "Attempts that ended, by outcome, and by error code where they ended in an error.",
    ["model", "outcome", "error_code"],
)
STAGES = Histogram(
    "paraqueue_attempt_stage_seconds",
    "Time that an attempt spent in a stage: fetching, transcribing, finishing; and within transcribing, added up: "
    "decode, vad, recognise (the wait for the device, which other jobs share), punctuate, commit.",
    ["stage"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000),
)
REAL_TIME_FACTOR = Histogram(
    "paraqueue_attempt_real_time_factor",
    "Time of transcribing / length of the audio, of attempts that completed a run.",
    ["model"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
AUDIO_DECODED = Counter(
    "paraqueue_audio_decoded_seconds_total",
    "Audio that came in: decoded and handed to the engine. What is worked on again after a failure counts again.",
    ["model"],
)
SLOTS = Gauge("paraqueue_worker_slots", "Jobs that this worker may run at once.")
BUSY_SLOTS = Gauge("paraqueue_worker_jobs", "Jobs that this worker runs now.")
RENEWAL_FAILURES = Counter("paraqueue_lease_renewal_failures_total", "Renewals of leases that failed.")
INFO = Gauge(
    "paraqueue_worker_info",
    "1, with what this worker runs.",
    ["worker", "model", "revision", "precision", "device"],
)
FREE_SCRATCH = Gauge("paraqueue_scratch_free_bytes", "Room on the disk where audio lies while it is worked on.")

LEASES_EXPIRED = Counter(
    "paraqueue_leases_expired_total",
    "Jobs that were taken back from silent workers, by what became of them.",
    ["status"],
)
WEBHOOKS = Counter(
    "paraqueue_webhook_deliveries_total",
    "Tries to deliver a webhook: `delivered`, `retrying`, `dead` or `gone`, and what went wrong.",
    ["outcome", "error"],
)
WEBHOOK_SECONDS = Histogram(
    "paraqueue_webhook_delivery_seconds",
    "How long the tries took, receiver and network included.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
WEBHOOK_LATENCY = Histogram(
    "paraqueue_webhook_latency_seconds",
    "From the event to its arrival, for webhooks that arrived.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600, 10_000, 100_000),
)
STEPS = Counter("paraqueue_sweep_steps_total", "Steps of sweep and clean, by how they went.", ["step", "outcome"])


class EngineCollector(Collector):
    """The engine's own counters, read when somebody asks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """What the batcher and the device tell."""
        stats, memory = self._engine.stats(), self._engine.memory()
        told = {name: float(getattr(stats, field)) for name, (field, _) in COUNTERS.items()}
        for name, (_, text) in COUNTERS.items():
            yield CounterMetricFamily(name, text, value=told[name])
        for name, (field, text) in GAUGES.items():
            yield GaugeMetricFamily(name, text, value=float(getattr(stats, field)))
        family = GaugeMetricFamily("paraqueue_device_memory_bytes", MEMORY_TEXT, labels=["kind"])
        for kind in ("total", "free", "ours"):
            family.add_metric([kind], getattr(memory, kind))
        yield family

    @staticmethod
    def described() -> Iterable[Metric]:
        """What there is, without an engine."""
        for name, (_, text) in COUNTERS.items():
            yield CounterMetricFamily(name, text)
        for name, (_, text) in GAUGES.items():
            yield GaugeMetricFamily(name, text)
        yield GaugeMetricFamily("paraqueue_device_memory_bytes", MEMORY_TEXT, labels=["kind"])


MEMORY_TEXT = "Memory of the device (on a CPU: of the machine): all, free, and what this process holds."
COUNTERS = {
    "paraqueue_engine_batches_total": ("batches", "Batches that the device recognised."),
    "paraqueue_engine_segments_total": ("segments", "Speech segments in them."),
    "paraqueue_engine_audio_seconds_total": ("real_seconds", "Speech in them."),
    "paraqueue_engine_padded_seconds_total": ("padded_seconds", "The same with the padding to each longest segment."),
    "paraqueue_engine_busy_seconds_total": ("busy_seconds", "Time in which the device's thread worked."),
    "paraqueue_engine_idle_seconds_total": ("idle_seconds", "Time in which it had nothing to do."),
    "paraqueue_engine_out_of_memory_total": ("out_of_memory", "Batches that did not fit and were halved."),
}
GAUGES = {
    "paraqueue_engine_batch_budget_seconds": ("budget_seconds", "Padded seconds that a batch may have."),
    "paraqueue_engine_queued_segments": ("queued_segments", "Segments that wait for the device."),
    "paraqueue_engine_queued_seconds": ("queued_seconds", "Speech in them."),
}


def count_attempt(
    model: str,
    *,
    outcome: str,
    error_code: str | None,
    stage_seconds: Mapping[str, float],
    real_time_factor: float | None,
) -> None:
    """One attempt is over."""
    ATTEMPTS.labels(model, outcome, error_code or "").inc()
    for stage, seconds in stage_seconds.items():
        STAGES.labels(stage).observe(seconds)
    if real_time_factor is not None and outcome == "completed":
        REAL_TIME_FACTOR.labels(model).observe(real_time_factor)


def count_delivery(outcome: str, error: str | None, *, took_seconds: float, age_seconds: float) -> None:
    """One try at a webhook is over; `age_seconds` is the time since its event."""
    # Behind the colon stands the kind of the network's error: too fine for a label.
    WEBHOOKS.labels(outcome, (error or "").partition(":")[0]).inc()
    WEBHOOK_SECONDS.observe(took_seconds)
    if outcome == "delivered":
        WEBHOOK_LATENCY.observe(max(0.0, age_seconds))


def measure_worker(settings: Settings, busy: Callable[[], int]) -> None:
    """The gauges of a GPU worker that are asked for when somebody reads."""
    SLOTS.set(settings.worker_slots)
    BUSY_SLOTS.set_function(busy)
    FREE_SCRATCH.set_function(lambda: _free_bytes(settings.scratch_dir))


def _free_bytes(path: Path) -> float:
    try:
        return float(shutil.disk_usage(path).free)
    except OSError:
        return 0.0
