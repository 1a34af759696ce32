"""The GPU worker: loads the bundle once, starts the engine, runs `transcribe`. `python -m worker.transcription`."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import uuid
from collections.abc import Sequence
from typing import Any

from celery import Celery
from celery.signals import worker_ready, worker_shutting_down

from common import jobs
from common.background import Background
from common.db import Database
from common.errors import ConfigurationError, ParaqueueError
from common.jobs import Dispatcher, Worker
from common.queue import FETCH, TRANSCRIBE, Publisher, consume, make_app, transcribe_queue
from common.settings import Settings, load_settings
from common.storage import make_storage
from common.telemetry import configure_logging, get_logger, warn_of_unknown_settings
from common.telemetry.metrics import Exposition, prepare
from common.telemetry.tracing import configure_tracing, stop_tracing
from worker.engine.bundles.bundles import PIECES_FILE
from worker.engine.device.faults import DeviceLost
from worker.engine.engine import Engine
from worker.metrics import WorkerCollector, prepare_attempts
from worker.metrics_server import MetricsServer
from worker.scratch import scratch_directory
from worker.transcription.attempt import Attempts
from worker.transcription.drain import Draining
from worker.transcription.fetching.fetcher import Fetcher
from worker.transcription.lease import LeaseKeeper
from worker.transcription.link_downloads import LinkDownloads
from worker.transcription.models import ensure_bundle
from worker.transcription.retry import RetryPolicy
from worker.transcription.tasks import AttemptFailed, Transcriber

log = get_logger(__name__)

EXIT_DEVICE_LOST = 3
DEVICE_LOST_SECONDS = 20.0
"""How long jobs have to give up their leases before the process ends in any case."""


def main() -> int:
    """Run until SIGTERM; running jobs then commit what they have and return to the queue.

    A lost device also ends the process, with EXIT_DEVICE_LOST.
    """
    try:
        settings = load_settings()
        configure_logging(settings, service="worker")
        warn_of_unknown_settings()
        configure_tracing(settings, service="worker")
        engine = load_engine(settings)
        serve(settings, engine)
        if engine.lost:
            _exit_device_lost()
    except ParaqueueError as error:
        print(f"paraqueue worker: {error.message}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1
    finally:
        stop_tracing()
    return 0


def _exit_device_lost() -> None:
    """Exit without waiting for threads, because one may hang in the device driver."""
    stop_tracing()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(EXIT_DEVICE_LOST)


def load_engine(settings: Settings) -> Engine:
    """Load the bundle onto its device. It is downloaded first if that is allowed, and never later."""
    paths = ensure_bundle(settings, lambda step: log.info("model_download", step=step))
    engine = Engine.load(
        paths,
        device=settings.device,
        precision=settings.precision,
        threads=settings.torch_threads,
        batch_seconds=settings.batch_seconds,
        max_segment_ms=int(settings.max_segment_seconds * 1000),
        segmentation=settings.segmentation,
        gpu_networks=settings.gpu_networks,
    )
    # The many module objects live as long as the process, so the garbage collector need not scan them again.
    gc.freeze()
    log.info(
        "model_loaded",
        model=engine.bundle,
        revision=engine.revision,
        device=str(engine.device),
        precision=engine.precision,
        networks=engine.networks,
    )
    if engine.networks not in ("packed", "padded: as configured"):
        log.warning("networks_slower", networks=engine.networks)
    pieces = paths.asr / PIECES_FILE
    if engine.card.hotwords and not pieces.is_file():
        log.warning("hotword_pieces_missing", file=str(pieces))
    return engine


def serve(settings: Settings, engine: Engine) -> None:
    """Process jobs until the worker is stopped."""
    worker = Worker(
        id=f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}",
        model=engine.bundle,
        revision=engine.revision,
        precision=engine.precision,
        device=str(engine.device),
        slots=settings.worker_slots,
        card=engine.card,
    )
    with scratch_directory(settings.scratch_dir, worker.id) as scratch:
        _work(settings.model_copy(update={"scratch_dir": scratch}), engine, worker)


def _work(settings: Settings, engine: Engine, worker: Worker) -> None:
    database = Database(settings.sqlalchemy_url, settings.database_pool_size)
    database.measure_pool()
    queue = make_app(settings)
    draining = Draining(transcribe_queue(worker.model))
    leases = LeaseKeeper(database, worker, lease_seconds=settings.lease_seconds, on_drain=draining.requested)
    dispatcher = Dispatcher.of(settings, database, Publisher(queue))
    attempts = Attempts(database, RetryPolicy.of(settings), leases, settings.lease_seconds, worker.id, worker.model)
    fetcher = Fetcher(settings, database, make_storage(settings))
    transcriber = Transcriber(
        settings=settings,
        database=database,
        engine=engine,
        fetcher=fetcher,
        leases=leases,
        attempts=attempts,
        wake_dispatcher=dispatcher.wake,
        wake_light=dispatcher.wake_for_light_work,
    )
    slots = settings.fetch_slots or 2 * settings.worker_slots
    downloads = LinkDownloads(database, fetcher, leases, attempts, slots=slots, wake_dispatcher=dispatcher.wake)
    # `throws`: an expected failure, which Celery logs without a traceback.
    queue.task(name=TRANSCRIBE, throws=(AttemptFailed,))(transcriber.task)
    queue.task(name=FETCH)(downloads.wake)
    _on_signals(worker, leases, [dispatcher, downloads], draining)
    engine.on_device_lost(lambda error: _stop_on_device_lost(error, leases))
    metrics = _metrics(settings, engine, worker, leases)
    metrics.start()
    try:
        _consume(queue, settings, worker)
    finally:
        leases.shut_down()
        downloads.stop()
        dispatcher.stop()
        leases.end()
        metrics.stop()
        engine.close()
        _say_goodbye(database, worker)
        database.close()
        log.info("worker_stopped")


def _consume(queue: Celery, settings: Settings, worker: Worker) -> None:
    """Consume the queue of the worker's model until shutdown."""
    consume(
        queue,
        hostname=f"transcribe@{worker.id}",
        concurrency=settings.worker_slots,
        queues=[transcribe_queue(worker.model)],
        loglevel=settings.log_level.upper(),
        optimization="fair",
    )


def _metrics(settings: Settings, engine: Engine, worker: Worker, leases: LeaseKeeper) -> MetricsServer:
    prepare(worker.model)
    prepare_attempts(worker.model)
    collector = WorkerCollector(worker, engine, leases, settings.scratch_dir)
    return MetricsServer(settings, Exposition([collector]))


def _say_goodbye(database: Database, worker: Worker) -> None:
    """Remove the worker's row (best effort): a row that remains is considered dead half a minute later."""
    try:
        jobs.unregister_worker(database, worker.id)
    except ParaqueueError as error:
        log.warning("goodbye_unsaid", error_code=error.code)


def _on_signals(worker: Worker, leases: LeaseKeeper, threads: Sequence[Background], draining: Draining) -> None:
    """Connect to Celery's signals: only they tell reliably when the queue is being consumed."""

    def ready(sender: Any, **_: Any) -> None:
        draining.attach(sender)
        leases.start()
        for thread in threads:
            thread.start()
        log.info("worker_ready", worker=worker.id, model=worker.model, slots=worker.slots)

    def shutting_down(**_: Any) -> None:
        leases.shut_down()

    worker_ready.connect(ready, weak=False)
    worker_shutting_down.connect(shutting_down, weak=False)


def _stop_on_device_lost(error: DeviceLost, leases: LeaseKeeper) -> None:
    """Stop as on SIGTERM but within a time limit; the supervisor's restart gives the process a fresh device."""
    log.critical("device_lost", reason=error.message)
    leases.abandon()
    deadline = threading.Timer(DEVICE_LOST_SECONDS, os._exit, [EXIT_DEVICE_LOST])
    deadline.daemon = True
    deadline.start()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
