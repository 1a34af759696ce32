"""The GPU worker: load the bundle once, start the engine, take `transcribe`. `python -m worker.main`."""

from __future__ import annotations

import os
import socket
import sys
import uuid
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from common import jobs
from common.db import Database
from common.errors import ConfigurationError, ModelUnavailable, ParaqueueError
from common.jobs import Dispatcher, Worker
from common.queue import TRANSCRIBE, Publisher, make_app, transcribe_queue
from common.settings import Settings, load_settings
from common.storage import make_storage
from common.telemetry import configure_logging, get_logger
from worker.engine import bundles
from worker.engine.bundles import BundlePaths
from worker.engine.engine import Engine
from worker.lease import LeaseKeeper
from worker.retry import RetryPolicy
from worker.source import Fetcher
from worker.tasks import Transcriber

log = get_logger(__name__)


def main() -> int:
    """Work until SIGTERM; jobs in flight then commit what they have and go back to the queue."""
    try:
        settings = load_settings()
        configure_logging(settings, service="worker")
        engine = load_engine(settings)
        serve(settings, engine)
    except ParaqueueError as error:
        print(f"paraqueue worker: {error.message}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    return 0


def load_engine(settings: Settings) -> Engine:
    """The bundle on its device; downloaded first where that is allowed, never later."""
    engine = Engine.load(
        bundle_paths(settings),
        device=settings.device,
        precision=settings.precision,
        threads=settings.torch_threads,
        batch_seconds=settings.batch_seconds,
        max_segment_ms=int(settings.max_segment_seconds * 1000),
    )
    log.info(
        "model_loaded",
        model=engine.bundle,
        revision=engine.revision,
        device=str(engine.device),
        precision=engine.precision,
    )
    return engine


def bundle_paths(settings: Settings) -> BundlePaths:
    """Where the bundle lies; a complete one on disk is never looked up anywhere else."""
    spec = bundles.bundle_spec(settings.model)
    try:
        return bundles.locate(spec, settings.model_source, settings.models_dir)
    except ModelUnavailable as error:
        if settings.model_source == "local":
            by_hand = bundles.by_hand(spec, settings.models_dir / spec.name)
            raise ModelUnavailable(f"{error.message} {by_hand}") from None
    return bundles.download(
        spec, settings.model_source, settings.models_dir, lambda line: log.info("model_download", step=line)
    )


def serve(settings: Settings, engine: Engine) -> None:
    """Take jobs until told to stop."""
    database = Database(settings.sqlalchemy_url, settings.database_pool_size)
    queue = make_app(settings)
    worker = Worker(
        id=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}",
        model=engine.bundle,
        revision=engine.revision,
        precision=engine.precision,
        device=str(engine.device),
        slots=settings.worker_slots,
    )
    leases = LeaseKeeper(
        database, worker.id, lease_seconds=settings.lease_seconds, renew_seconds=settings.renew_seconds
    )
    dispatcher = Dispatcher(database, Publisher(queue), redispatch_seconds=settings.redispatch_seconds)
    transcriber = Transcriber(
        settings=settings,
        database=database,
        engine=engine,
        fetcher=Fetcher(settings, database, make_storage(settings)),
        leases=leases,
        retries=RetryPolicy(settings.max_attempts, settings.retry_base_seconds, settings.retry_max_seconds),
        worker=worker.id,
        wake_dispatcher=dispatcher.wake,
    )
    queue.task(name=TRANSCRIBE)(transcriber.run)
    _on_signals(database, worker, leases, dispatcher)
    leases.start()
    dispatcher.start()
    try:
        _consume(queue, settings, worker)
    finally:
        dispatcher.stop()
        leases.end()
        engine.close()
        jobs.unregister_worker(database, worker.id)
        database.close()
        log.info("worker_stopped")


def _on_signals(database: Database, worker: Worker, leases: LeaseKeeper, dispatcher: Dispatcher) -> None:
    """Celery's own signals: there is no other moment at which the queue is surely being read."""

    def ready(**_: Any) -> None:
        jobs.register_worker(database, worker)
        dispatcher.wake()
        log.info("worker_ready", worker=worker.id, model=worker.model, slots=worker.slots)

    def shutting_down(**_: Any) -> None:
        leases.shut_down()

    worker_ready.connect(ready, weak=False)
    worker_shutting_down.connect(shutting_down, weak=False)


def _consume(queue: Celery, settings: Settings, worker: Worker) -> None:
    """Celery's consumer with a pool of threads: one device, one process."""
    queue.Worker(
        hostname=f"transcribe@{worker.id}",
        pool="threads",
        concurrency=settings.worker_slots,
        queues=[transcribe_queue(worker.model)],
        loglevel=settings.log_level.upper(),
        without_gossip=True,
        without_mingle=True,
        quiet=True,
        optimization="fair",
    ).start()


if __name__ == "__main__":
    sys.exit(main())
