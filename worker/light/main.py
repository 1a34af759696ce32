"""The light worker: the sweep and other small tasks, scheduled by beat; does not import torch.

`python -m worker.light`.

Any number of light workers may run: each task is safe to run concurrently.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass

from celery.signals import worker_shutting_down

from common import ids, jobs, webhooks
from common.db import Database
from common.errors import ParaqueueError
from common.queue import CLEAN, DELIVER, LIGHT_QUEUE, RENDER, SUMMARIZE, SWEEP, Publisher, consume, make_app
from common.secret_box import SecretBox
from common.settings import Settings, load_settings
from common.settings.types import revealed
from common.storage import Storage, make_storage
from common.telemetry import configure_logging, get_logger, warn_of_unknown_settings
from common.telemetry.metrics import Exposition, prepare
from common.telemetry.tracing import configure_tracing, stop_tracing
from worker.light.chat import ChatEndpoint
from worker.light.cleaner import Cleaner
from worker.light.deliverer import Deliverer
from worker.light.renderer import Renderer
from worker.light.sender import RetrySchedule, Sender
from worker.light.steps import at_most_every, each_step
from worker.light.summarizer import Summarizer
from worker.metrics import LEASES_EXPIRED
from worker.metrics_server import MetricsServer
from worker.scratch import scratch_directory

log = get_logger(__name__)
THREADS = 4
HOUR_SECONDS = 3600.0


@dataclass(frozen=True)
class LightTasks:
    """The tasks of the light worker."""

    settings: Settings
    database: Database
    storage: Storage
    publish: Publisher
    deliverer: Deliverer
    renderer: Renderer
    summarizer: Summarizer
    cleaner: Cleaner

    def sweep(self) -> None:
        """Rescue jobs whose lease has expired, send what is due, and announce the jobs that should run next.

        A step that fails does not prevent the others from running.
        """
        each_step(self._take_back, self.deliver, self.render, self.summarize, self._forget_dead_workers, self._dispatch)

    def _take_back(self) -> None:
        for lost in jobs.rescue_expired(self.database):
            LEASES_EXPIRED.labels(lost.status.value).inc()
            log.warning(
                "lease_expired",
                job_id=ids.shown(ids.JOB, lost.job_id),
                worker=lost.worker,
                status=lost.status.value,
            )

    def _forget_dead_workers(self) -> None:
        jobs.forget_dead_workers(self.database)

    def _dispatch(self) -> None:
        jobs.dispatch(
            self.database,
            self.publish,
            redispatch_seconds=self.settings.redispatch_seconds,
            tenant_max_running=self.settings.tenant_max_running,
            tenant_slot_share=self.settings.tenant_slot_share,
        )

    def render(self) -> None:
        """Wake the thread that makes requested renditions. Returns immediately."""
        self.renderer.wake()

    def summarize(self) -> None:
        """Wake the thread that starts due summaries. Returns immediately."""
        self.summarizer.wake()

    def deliver(self) -> None:
        """Wake the threads that send due webhooks. Returns immediately."""
        self.deliverer.wake()

    def clean(self) -> None:
        """Delete expired data until nothing is due or the next call is about to start."""
        self.cleaner.clean()


def main() -> int:
    """Run until SIGTERM."""
    try:
        settings = load_settings()
    except ParaqueueError as error:
        print(f"paraqueue light worker: {error.message}", file=sys.stderr)
        return 2
    configure_logging(settings, service="light")
    warn_of_unknown_settings()
    configure_tracing(settings, service="light")
    try:
        serve(settings)
    except ParaqueueError as error:
        print(f"paraqueue light worker: {error.message}", file=sys.stderr)
        return 1
    finally:
        stop_tracing()
    return 0


def serve(settings: Settings) -> None:
    """Process light tasks until the worker is stopped."""
    name = f"{socket.gethostname()}-{os.getpid()}-light"
    with scratch_directory(settings.scratch_dir, name) as scratch:
        _work(settings.model_copy(update={"scratch_dir": scratch}))


def _work(settings: Settings) -> None:
    database = Database(settings.sqlalchemy_url, settings.database_pool_size)
    database.measure_pool()
    prepare(settings.model)
    metrics = MetricsServer(settings, Exposition())
    queue = make_app(settings)
    plan = RetrySchedule(settings.webhook_retry_base_seconds, settings.webhook_retry_hours * HOUR_SECONDS)
    deliverer = Deliverer(database, Sender.of(settings), plan)
    storage = make_storage(settings)
    renderer = Renderer(settings, database, storage)
    endpoint = ChatEndpoint.of(settings) if settings.summaries else None
    summarizer = Summarizer(database, endpoint, concurrency=settings.summary_concurrency, ended=deliverer.wake)
    cleaner = Cleaner(settings, database, storage)
    worker_shutting_down.connect(cleaner.on_shutdown, weak=False)
    light_tasks = LightTasks(settings, database, storage, Publisher(queue), deliverer, renderer, summarizer, cleaner)
    queue.task(name=SWEEP)(at_most_every(settings.sweep_seconds / 4, light_tasks.sweep))
    queue.task(name=CLEAN)(light_tasks.clean)
    queue.task(name=DELIVER)(light_tasks.deliver)
    queue.task(name=RENDER)(light_tasks.render)
    queue.task(name=SUMMARIZE)(light_tasks.summarize)
    _renew_seals(settings, database)
    metrics.start()
    deliverer.start()
    renderer.start()
    summarizer.start()
    try:
        consume(
            queue,
            hostname=f"light@{socket.gethostname()}-{os.getpid()}",
            concurrency=THREADS,
            queues=[LIGHT_QUEUE],
            loglevel=settings.log_level.upper(),
        )
    finally:
        deliverer.stop()
        renderer.stop()
        summarizer.stop()
        metrics.stop()
        database.close()
        log.info("light_worker_stopped")


def _renew_seals(settings: Settings, database: Database) -> None:
    """Re-encrypt secrets if PARAQUEUE_SECRET_KEY has a new first key; start even if the database is unavailable."""
    if not settings.secret_key:
        return
    try:
        renewed = webhooks.reseal(database, SecretBox(revealed(settings.secret_key)))
    except ParaqueueError as error:
        log.warning("secrets_not_renewed", error_code=error.code, reason=error.message)
    else:
        if renewed:
            log.info("secrets_renewed", secrets=renewed)


if __name__ == "__main__":
    sys.exit(main())
