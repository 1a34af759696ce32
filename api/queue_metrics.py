"""Metrics of the whole installation: the queue, the workers, the webhooks, Redis.

They are queried when someone reads the metrics, and cached for a while, so that many readers cost no more than one.
The queries use their own connection, so that an exhausted pool does not hide problems.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import redis
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError

from common.background import Background
from common.db import Database
from common.errors import ParaqueueError
from common.job_states import Stage
from common.jobs import QueueStats, WorkerCounts, queue_stats
from common.settings import Settings
from common.telemetry import get_logger

log = get_logger(__name__)
FRESH_SECONDS = 5.0
# Queries take at most a twentieth of the time, however long the queue is.
REST = 20.0
# Prometheus itself times out after 10 s.
PATIENCE_SECONDS = 3.0
REDIS_SECONDS = 1.0
PRIORITIES = range(10)
DATABASE_UP = "1 if the database responded within 3 s; otherwise queue, worker and webhook metrics are missing."
REDIS_UP = "1 if Redis responded within 1 s."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The result of a query; without figures if the database did not respond."""

    queue_stats: QueueStats | None
    redis: bool
    took_seconds: float
    ended_at: float

    @property
    def fresh(self) -> bool:
        """Whether it is recent enough not to query again."""
        return time.monotonic() - self.ended_at < max(FRESH_SECONDS, REST * self.took_seconds)


class QueueMetrics(Background, Collector):
    """A thread that queries the figures on demand and exposes them as metrics."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("board")
        self._model = settings.model
        self._database = Database(settings.sqlalchemy_url, pool_size=1)
        self._redis = redis.Redis.from_url(
            settings.redis_url.get_secret_value(),
            socket_timeout=REDIS_SECONDS,
            socket_connect_timeout=REDIS_SECONDS,
        )
        self._last: Snapshot | None = None
        self._looked = threading.Condition()

    def stop(self) -> None:
        """Stop querying."""
        super().stop()
        self._database.close()
        self._redis.close()

    def work(self) -> None:
        """Query once, unless that has just been done: several readers may have requested the same figures."""
        if self._last is not None and self._last.fresh:
            return
        began = time.monotonic()
        seen = self._figures()
        took = time.monotonic() - began
        answers = self._redis_answers()
        with self._looked:
            self._last = Snapshot(seen, answers, took, time.monotonic())
            self._looked.notify_all()

    def _figures(self) -> QueueStats | None:
        try:
            return queue_stats(self._database)
        except ParaqueueError as error:
            log.warning("figures_missing", error_code=error.code, reason=error.message)
        except DBAPIError as error:  # a statement timeout, or the schema of another version
            log.warning("figures_missing", reason=type(error.orig).__name__)
        return None

    def _redis_answers(self) -> bool:
        try:
            self._redis.ping()
        except redis.RedisError:
            return False
        return True

    def look(self) -> Snapshot | None:
        """Return current figures; None if a query takes longer than a reader waits."""
        with self._looked:
            if self._last is None or not self._last.fresh:
                stale = self._last
                self.wake()
                if not self._looked.wait_for(lambda: self._last is not stale, PATIENCE_SECONDS):
                    return None
            return self._last

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics from figures of the last seconds."""
        seen = self.look()
        stats = seen.queue_stats if seen is not None else None
        yield _flag("paraqueue_database_up", DATABASE_UP, stats is not None)
        if seen is not None:
            yield _flag("paraqueue_redis_up", REDIS_UP, seen.redis)
        if stats is not None:
            yield from _families(stats, self._model)


def described() -> Iterator[Metric]:
    """Yield all possible metrics without a query."""
    yield _flag("paraqueue_database_up", DATABASE_UP, False)
    yield _flag("paraqueue_redis_up", REDIS_UP, False)
    yield from _families(QueueStats((), (), (), 0, 0, 0.0), "")


def _families(seen: QueueStats, model: str) -> Iterator[Metric]:
    """Convert the figures to metrics. All API replicas report the same values: use their maximum, never their sum."""
    waiting, running, crews = ({item.model for item in items} for items in (seen.waiting, seen.running, seen.crews))
    models = sorted({model} | waiting | running | crews)
    yield from _queue(seen, models)
    yield from _jobs(seen, models)
    yield from _workers(seen, models)
    yield _gauge("paraqueue_webhooks_pending", "Webhooks not yet delivered, up to 10,000.", seen.deliveries_pending)
    yield _gauge("paraqueue_webhooks_due", "Webhooks due, up to 10,000.", seen.deliveries_due)
    yield _gauge(
        "paraqueue_webhook_lag_seconds", "Time that the oldest due webhook is overdue.", seen.delivery_lag_seconds
    )


def _queue(seen: QueueStats, models: list[str]) -> Iterator[Metric]:
    labels = ["model", "priority"]
    depth = GaugeMetricFamily("paraqueue_queue_jobs", "Jobs in the queue.", labels=labels)
    paused = GaugeMetricFamily(
        "paraqueue_queue_paused_jobs",
        "Queued jobs that wait for their next attempt, not for a worker.",
        labels=labels,
    )
    oldest = GaugeMetricFamily(
        "paraqueue_queue_oldest_seconds", "Longest time that a job has been ready to run.", labels=labels
    )
    by_queue = {(item.model, item.priority): item for item in seen.waiting}
    for name in models:
        for priority in PRIORITIES:
            item = by_queue.get((name, priority))
            values = [name, str(priority)]
            depth.add_metric(values, item.jobs if item else 0)
            paused.add_metric(values, item.paused if item else 0)
            oldest.add_metric(values, item.oldest_seconds if item else 0.0)
    yield from (depth, paused, oldest)


def _jobs(seen: QueueStats, models: list[str]) -> Iterator[Metric]:
    family = GaugeMetricFamily(
        "paraqueue_jobs",
        "Unfinished jobs: queued, or processing by stage.",
        labels=["model", "state"],
    )
    for name in models:
        counts = {"queued": sum(item.jobs for item in seen.waiting if item.model == name)}
        counts |= {stage.value: 0 for stage in Stage}
        counts |= {item.stage: item.jobs for item in seen.running if item.model == name}
        for state, jobs in counts.items():
            family.add_metric([name, state], jobs)
    yield family


def _workers(seen: QueueStats, models: list[str]) -> Iterator[Metric]:
    crews = {crew.model: crew for crew in seen.crews}
    workers = GaugeMetricFamily(
        "paraqueue_workers",
        "Live GPU workers; `draining` ones accept no new jobs.",
        labels=["model", "state"],
    )
    slots = GaugeMetricFamily("paraqueue_slots", "Slots of ready workers.", labels=["model"])
    for name in models:
        crew = crews.get(name, WorkerCounts(name, 0, 0, 0))
        workers.add_metric([name, "ready"], crew.ready)
        workers.add_metric([name, "draining"], crew.draining)
        slots.add_metric([name], crew.slots)
    yield from (workers, slots)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _flag(name: str, text: str, value: bool) -> Metric:
    return _gauge(name, text, float(value))
