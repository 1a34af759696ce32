"""Worker metrics: attempts and their stages, the engine, leases, webhooks."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from prometheus_client import Counter, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from common.job_states import Status
from common.telemetry.metrics import FAILURES

if TYPE_CHECKING:
    from common.jobs import Worker
    from worker.engine.engine import Engine

ATTEMPTS = Counter(
    "paraqueue_attempts_total",
    "Attempts that ended; `error_code` of errors.",
    ["model", "outcome", "error_code"],
)
STAGES = Histogram(
    "paraqueue_attempt_stage_seconds",
    "Time per attempt in `fetching`, `transcribing`, `finishing`, and within transcribing, accumulated, in `decode`, "
    "`vad`, `recognise` (waiting for the shared device), `punctuate`, `commit`.",
    ["stage"],
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10_000),
)
REAL_TIME_FACTOR = Histogram(
    "paraqueue_attempt_real_time_factor",
    "Transcription time by audio duration, of attempts that completed a run.",
    ["model"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)
AUDIO_DECODED = Counter(
    "paraqueue_audio_decoded_seconds_total",
    "Audio passed to the engine; counts again when processed again after a failure.",
    ["model"],
)
RENEWAL_FAILURES = Counter("paraqueue_lease_renewal_failures_total", "Failed lease renewals.")
LEASES_EXPIRED = Counter(
    "paraqueue_leases_expired_total",
    "Jobs recovered from workers that stopped renewing their leases; `status` is the resulting one.",
    ["status"],
)
for _status in (Status.QUEUED, Status.FAILED, Status.CANCELED):
    LEASES_EXPIRED.labels(_status.value)
WEBHOOKS = Counter(
    "paraqueue_webhook_deliveries_total",
    "Webhook delivery attempts: `delivered`, `retrying`, `dead` or `gone`.",
    ["outcome", "error"],
)
for _error in (
    "timeout",
    "connection",
    "http_status",
    "redirect",
    "invalid_url",
    "address_not_allowed",
    "host_not_found",
):
    WEBHOOKS.labels("retrying", _error)
    WEBHOOKS.labels("dead", _error)
WEBHOOKS.labels("delivered", "")
WEBHOOKS.labels("gone", "http_status")
WEBHOOK_SECONDS = Histogram(
    "paraqueue_webhook_delivery_seconds",
    "Duration of webhook delivery attempts.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
)
WEBHOOK_LATENCY = Histogram(
    "paraqueue_webhook_latency_seconds",
    "Time from event to successful webhook delivery.",
    buckets=(0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3600, 10_000, 100_000),
)
SUMMARIES = Counter(
    "paraqueue_summary_attempts_total",
    "Attempts at summaries that ended: `completed`, `retrying` or `failed`; `error_code` of errors.",
    ["outcome", "error_code"],
)
SUMMARIES.labels("completed", "")
for _code in ("summary_unavailable", "summary_invalid"):
    SUMMARIES.labels("retrying", _code)
for _code in ("summary_unavailable", "summary_invalid", "summary_rejected", "summary_empty"):
    SUMMARIES.labels("failed", _code)
STEPS = Counter("paraqueue_sweep_steps_total", "Steps of the sweep and clean tasks.", ["step", "outcome"])


class WorkerLoad(Protocol):
    """What a worker is doing now."""

    def running(self, *, downloads: bool = False) -> int:
        """The number of jobs in slots, or of downloads."""


@dataclass(frozen=True)
class WorkerCollector(Collector):
    """The metrics a GPU worker reports on each scrape: the worker, its jobs, and the engine's counters."""

    worker: Worker
    engine: Engine
    load: WorkerLoad
    scratch: Path

    def collect(self) -> Iterator[Metric]:
        """Collect one set of samples."""
        worker, stats, memory = self.worker, self.engine.stats(), self.engine.memory()
        info = (worker.id, worker.model, worker.revision, worker.precision, worker.device)
        yield _family("paraqueue_worker_info", {info: 1.0})
        yield _family("paraqueue_worker_slots", {(): worker.slots})
        yield _family("paraqueue_worker_jobs", {(): self.load.running()})
        yield _family("paraqueue_worker_downloads", {(): self.load.running(downloads=True)})
        yield _family("paraqueue_scratch_free_bytes", {(): _free_bytes(self.scratch)})
        yield _family("paraqueue_device_memory_bytes", {(kind,): getattr(memory, kind) for kind in MEMORY_KINDS})
        for name, field in ENGINE.items():
            yield _family(name, {(): float(getattr(stats, field))})


def described() -> list[Metric]:
    """The metric families of a GPU worker, without a running worker."""
    return [_family(name, {}) for name in TEXTS]


def _family(name: str, samples: Mapping[tuple[str, ...], float]) -> Metric:
    text, labels = TEXTS[name]
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    family = kind(name, text, labels=labels)
    for values, value in samples.items():
        family.add_metric(values, value)
    return family


MEMORY_KINDS = ("total", "free", "ours")
# Metric names of the engine's counters.
ENGINE = {
    "paraqueue_engine_batches_total": "batches",
    "paraqueue_engine_segments_total": "segments",
    "paraqueue_engine_audio_seconds_total": "real_seconds",
    "paraqueue_engine_padded_seconds_total": "padded_seconds",
    "paraqueue_engine_busy_seconds_total": "busy_seconds",
    "paraqueue_engine_idle_seconds_total": "idle_seconds",
    "paraqueue_engine_out_of_memory_total": "out_of_memory",
    "paraqueue_engine_batch_budget_seconds": "budget_seconds",
    "paraqueue_engine_queued_segments": "queued_segments",
    "paraqueue_engine_queued_seconds": "queued_seconds",
}
TEXTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "paraqueue_worker_info": (
        "Always 1; the labels describe this worker.",
        ("worker", "model", "revision", "precision", "device"),
    ),
    "paraqueue_worker_slots": ("Slots of this worker.", ()),
    "paraqueue_worker_jobs": ("Jobs in the slots of this worker.", ()),
    "paraqueue_worker_downloads": ("Links that this worker downloads; their jobs take no slots.", ()),
    "paraqueue_scratch_free_bytes": ("Free space on the scratch disk.", ()),
    "paraqueue_device_memory_bytes": (
        "Device memory (on a CPU: main memory): `total`, `free`, and `ours`, held by this process.",
        ("kind",),
    ),
    "paraqueue_engine_batches_total": ("Batches recognised.", ()),
    "paraqueue_engine_segments_total": ("Speech segments recognised.", ()),
    "paraqueue_engine_audio_seconds_total": ("Speech recognised.", ()),
    "paraqueue_engine_padded_seconds_total": (
        "Speech recognised, padded to the longest segment of each batch.",
        (),
    ),
    "paraqueue_engine_busy_seconds_total": ("Busy time of the device.", ()),
    "paraqueue_engine_idle_seconds_total": ("Idle time of the device.", ()),
    "paraqueue_engine_out_of_memory_total": ("Batches split because device memory ran out.", ()),
    "paraqueue_engine_batch_budget_seconds": ("Batch budget in padded seconds.", ()),
    "paraqueue_engine_queued_segments": ("Segments waiting for the device.", ()),
    "paraqueue_engine_queued_seconds": ("Speech waiting for the device.", ()),
}


def prepare_attempts(model: str) -> None:
    """Create the attempt counters of a model before the first attempt is counted."""
    ATTEMPTS.labels(model, "completed", "")
    AUDIO_DECODED.labels(model)
    REAL_TIME_FACTOR.labels(model)
    for outcome in ("failed", "retrying"):
        for code in FAILURES:
            ATTEMPTS.labels(model, outcome, code)


def count_attempt(
    model: str,
    *,
    outcome: str,
    error_code: str | None,
    stage_seconds: Mapping[str, float],
    real_time_factor: float | None,
) -> None:
    """Count a finished attempt."""
    ATTEMPTS.labels(model, outcome, error_code or "").inc()
    for stage, seconds in stage_seconds.items():
        STAGES.labels(stage).observe(seconds)
    if real_time_factor is not None and outcome == "completed":
        REAL_TIME_FACTOR.labels(model).observe(real_time_factor)


def count_delivery(outcome: str, error: str | None, *, took_seconds: float, age_seconds: float) -> None:
    """Count a finished webhook attempt; `age_seconds` is the time since the event."""
    # The part after the colon is the kind of network error: too fine-grained for a label.
    WEBHOOKS.labels(outcome, (error or "").partition(":")[0]).inc()
    WEBHOOK_SECONDS.observe(took_seconds)
    if outcome == "delivered":
        WEBHOOK_LATENCY.observe(max(0.0, age_seconds))


def count_summary(outcome: str, error_code: str | None) -> None:
    """Count a finished attempt at a summary."""
    SUMMARIES.labels(outcome, error_code or "").inc()


def _free_bytes(path: Path) -> float:
    try:
        return float(shutil.disk_usage(path).free)
    except OSError:
        return 0.0
