"""Retention: deletes expired data."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from common import idempotency, jobs, sessions, shares, summaries, uploads, webhooks
from common.db import Database
from common.queue import CLEAN_SECONDS
from common.settings import Settings
from common.storage import Storage
from common.telemetry import get_logger
from common.time_limit import TimeLimit
from worker.light.steps import one_step

log = get_logger(__name__)
HOUR_SECONDS = 3600.0
DAY_SECONDS = 24 * HOUR_SECONDS
# Time slice of one step. Steps take turns, so that one with a long backlog does not delay the others; all of them
# together take slightly less than the time until the next call.
TURN_SECONDS = 20.0
WHOLE_SECONDS = 0.9 * CLEAN_SECONDS

Step = Callable[[TimeLimit], int]


class Cleaner:
    """The retention steps, and the position of the orphan scan. Only one call runs at a time."""

    def __init__(self, settings: Settings, database: Database, storage: Storage) -> None:
        self._settings = settings
        self._database = database
        self._storage = storage
        self._stopping = threading.Event()
        self._running = threading.Lock()
        self._orphans_after = ""

    def on_shutdown(self, **_: Any) -> None:
        """Stop after the current job or batch of rows, because the process is shutting down."""
        self._stopping.set()

    def clean(self) -> None:
        """Run until nothing is due or the time is up. Raises the defects of all steps together at the end."""
        if not self._running.acquire(blocking=False):
            return  # the previous call is still running
        try:
            self._clean(TimeLimit(WHOLE_SECONDS, self._stopping.is_set))
        finally:
            self._running.release()

    def _clean(self, limit: TimeLimit) -> None:
        deleted: Counter[str] = Counter()
        failures: list[Exception] = []
        waiting = self._steps()
        while waiting and not limit.over:
            for name, step in list(waiting.items()):
                before = deleted[name]
                went_well = one_step(name, partial(_take_turn, name, step, limit, deleted), failures)
                if not went_well or deleted[name] == before:
                    del waiting[name]
        if counts := {name: number for name, number in deleted.items() if number}:
            log.info("cleaned", **counts)
        if waiting and not self._stopping.is_set():
            log.warning("cleaning_unfinished", steps=list(waiting))
        if failures:
            raise ExceptionGroup("some steps failed", failures)

    def _steps(self) -> dict[str, Step]:
        database, storage, settings = self._database, self._storage, self._settings
        audio = settings.audio_retention_hours * HOUR_SECONDS
        results = settings.result_retention_days * DAY_SECONDS
        whole = settings.job_retention_days * DAY_SECONDS
        usage = settings.usage_retention_days * DAY_SECONDS
        return {
            "audio": lambda limit: jobs.expire_audio(database, storage, limit, after_seconds=audio),
            "results": lambda limit: jobs.expire_results(database, limit, after_seconds=results),
            "jobs": lambda limit: jobs.expire_jobs(database, limit, after_seconds=whole),
            "batches": lambda limit: jobs.expire_batches(database, limit, after_seconds=whole),
            "usage": lambda limit: jobs.expire_usage(database, limit, after_seconds=usage),
            "summary_usage": lambda limit: summaries.expire_usage(database, limit, after_seconds=usage),
            "deliveries": lambda limit: webhooks.expire_deliveries(database, limit, after_seconds=results),
            "idempotency_keys": lambda limit: idempotency.expire(database, limit),
            "shares": lambda limit: shares.expire(database, limit),
            "sessions": lambda limit: sessions.expire(database, limit),
            "uploads": lambda limit: uploads.expire(database, storage, limit),
            "orphans": self._delete_orphans,
        }

    def _delete_orphans(self, limit: TimeLimit) -> int:
        """Delete orphaned objects; a large storage is scanned over several turns and calls."""
        orphans = jobs.delete_orphans(self._database, self._storage, limit, after=self._orphans_after)
        self._orphans_after = orphans.reached
        return orphans.deleted


def _take_turn(name: str, step: Step, limit: TimeLimit, deleted: Counter[str]) -> None:
    deleted[name] += step(limit.at_most(TURN_SECONDS))
