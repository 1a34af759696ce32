"""Draining: on request, a running worker takes no new jobs and optionally exits when it has none left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from common.jobs import Drain
from common.telemetry import get_logger

log = get_logger(__name__)


def end_this_process() -> None:
    """End this process the same way as every other shutdown."""
    os.kill(os.getpid(), signal.SIGTERM)


class Draining:
    """Applies the drain state that lease renewals return. The database itself rejects further claims.

    In addition, a drained worker stops consuming its queue: otherwise it would take messages that other workers could
    process, and those would be announced again only after a delay.
    """

    def __init__(self, queue: str, *, end: Callable[[], None] = end_this_process) -> None:
        self._queue = queue
        self._end = end
        self._consumer: Any = None
        self._drained = False
        self._ending = False

    def attach(self, consumer: Any) -> None:
        """Set Celery's consumer once it is consuming the queue."""
        self._consumer = consumer

    def requested(self, drain: Drain | None, running: int) -> None:
        """Apply the drain state and the number of running jobs that each renewal reports."""
        if (drain is not None) != self._drained:
            self._drained = drain is not None
            log.info("worker_draining" if self._drained else "worker_takes_jobs_again", running=running)
            self._consumer.call_soon(self._stop_reading if self._drained else self._read_again)
        if drain is Drain.END and running == 0 and not self._ending:
            self._ending = True
            log.info("worker_drained")
            self._end()

    def _stop_reading(self) -> None:
        self._consumer.cancel_task_queue(self._queue)

    def _read_again(self) -> None:
        self._consumer.add_task_queue(self._queue)
