"""The light worker: the sweep and other small tasks, driven by beat; imports no torch.

`python -m worker.light`.

Any number of light workers may run: each task is safe to run twice at once.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass

from common import idempotency, ids, jobs, uploads, webhooks
from common.db import Database
from common.errors import ParaqueueError
from common.queue import CLEAN, DELIVER, LIGHT_QUEUE, RENDER, SWEEP, Publisher, make_app
from common.secret_box import Seal
from common.settings import Settings, load_settings
from common.storage import Storage, make_storage
from common.telemetry import configure_logging, get_logger
from common.telemetry.metrics import Exposition, prepare
from common.telemetry.tracing import configure_tracing, stop_tracing
from worker.light.deliverer import Deliverer
from worker.light.renderer import Renderer
from worker.light.sender import Plan, Sender
from worker.metrics import LEASES_EXPIRED, STEPS
from worker.metrics_server import MetricsServer

log = get_logger(__name__)
THREADS = 4
HOUR_SECONDS = 3600.0


@dataclass(frozen=True)
class Keeper:
    """The tasks of the light worker."""

    settings: Settings
    database: Database
    storage: Storage
    publish: Publisher
    deliverer: Deliverer
    renderer: Renderer

    def sweep(self) -> None:
        """Take back what silent workers left behind, send what is due, and announce what should run next.

        A step that fails does not keep the others from being done.
        """
        _each(self._take_back, self.deliver, self.render, self._forget_dead_workers, self._dispatch)

    def _take_back(self) -> None:
        for lost in jobs.take_back_leases(self.database):
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
            key_max_running=self.settings.key_max_running,
        )

    def render(self) -> None:
        """Have the audio made over that is asked for. Returns at once: there is a thread for it."""
        self.renderer.wake()

    def deliver(self) -> None:
        """Have the webhooks sent that are due. Returns at once: they have threads of their own."""
        self.deliverer.wake()

    def clean(self) -> None:
        """Delete what has outlived its time."""
        _each(self._clean)

    def _clean(self) -> None:
        settings = self.settings
        audio = jobs.expire_audio(
            self.database, self.storage, after_seconds=settings.audio_retention_hours * HOUR_SECONDS
        )
        results = jobs.expire_results(self.database, after_seconds=settings.result_retention_days * 24 * HOUR_SECONDS)
        deliveries = webhooks.expire_deliveries(
            self.database, after_seconds=settings.result_retention_days * 24 * HOUR_SECONDS
        )
        idempotency.expire(self.database)
        unfinished = uploads.expire(self.database, self.storage)
        orphans = jobs.delete_orphans(self.database, self.storage)
        if audio or results or deliveries or unfinished or orphans:
            log.info(
                "cleaned", audio=audio, results=results, deliveries=deliveries, uploads=unfinished, orphans=orphans
            )


def _each(*steps: Callable[[], None]) -> None:
    """Do all of them. What the service stands on may be away: that is said in a line, and the next time comes."""
    failures: list[Exception] = []
    for step in steps:
        name = step.__name__.strip("_")
        try:
            step()
            STEPS.labels(name, "done").inc()
        except ParaqueueError as error:
            STEPS.labels(name, "postponed").inc()
            log.warning("step_postponed", step=name, error_code=error.code, reason=error.message)
        except Exception as error:
            STEPS.labels(name, "failed").inc()
            failures.append(error)
    if failures:
        raise ExceptionGroup("not every step could be done", failures)


def main() -> int:
    """Work until SIGTERM."""
    try:
        settings = load_settings()
    except ParaqueueError as error:
        print(f"paraqueue light worker: {error.message}", file=sys.stderr)
        return 2
    configure_logging(settings, service="light")
    configure_tracing(settings, service="light")
    try:
        serve(settings)
    finally:
        stop_tracing()
    return 0


def serve(settings: Settings) -> None:
    """Take light tasks until told to stop."""
    database = Database(settings.sqlalchemy_url, settings.database_pool_size)
    database.measure_pool()
    prepare(settings.model)
    metrics = MetricsServer(settings, Exposition())
    queue = make_app(settings)
    plan = Plan(settings.webhook_retry_base_seconds, settings.webhook_retry_hours * HOUR_SECONDS)
    deliverer = Deliverer(database, Sender.of(settings), plan)
    storage = make_storage(settings)
    renderer = Renderer(settings, database, storage)
    keeper = Keeper(settings, database, storage, Publisher(queue), deliverer, renderer)
    queue.task(name=SWEEP)(keeper.sweep)
    queue.task(name=CLEAN)(keeper.clean)
    queue.task(name=DELIVER)(keeper.deliver)
    queue.task(name=RENDER)(keeper.render)
    _renew_seals(settings, database)
    metrics.start()
    deliverer.start()
    renderer.start()
    try:
        queue.Worker(
            hostname=f"light@{socket.gethostname()}-{os.getpid()}",
            pool="threads",
            concurrency=THREADS,
            queues=[LIGHT_QUEUE],
            loglevel=settings.log_level.upper(),
            without_gossip=True,
            without_mingle=True,
            quiet=True,
        ).start()
    finally:
        deliverer.stop()
        renderer.stop()
        metrics.stop()
        database.close()
        log.info("light_worker_stopped")


def _renew_seals(settings: Settings, database: Database) -> None:
    """After PARAQUEUE_SECRET_KEY got a new first key; a database that is away is no reason not to start."""
    if not settings.secret_keys:
        return
    try:
        renewed = webhooks.reseal(database, Seal(settings.secret_keys))
    except ParaqueueError as error:
        log.warning("secrets_not_renewed", error_code=error.code, reason=error.message)
    else:
        if renewed:
            log.info("secrets_renewed", secrets=renewed)


if __name__ == "__main__":
    sys.exit(main())
