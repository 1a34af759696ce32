"""The GPU worker: loads the bundle once, starts the engine, runs `transcribe`. `python -m worker.transcription`."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import uuid
from typing import Any

from celery.signals import worker_ready, worker_shutting_down

from common import jobs
from common.db import Database
from common.errors import ConfigurationError, ParaqueueError
from common.jobs import Dispatcher, Worker
from common.queue import TRANSCRIBE, Publisher, consume, make_app, transcribe_queue
from common.settings import Settings, load_settings
from common.storage import make_storage
from common.telemetry import configure_logging, get_logger
from common.telemetry.metrics import Exposition, prepare
from common.telemetry.tracing import configure_tracing, stop_tracing
from worker.engine.device.faults import DeviceLost
from worker.engine.engine import Engine
from worker.metrics import WorkerCollector, prepare_attempts
from worker.metrics_server import MetricsServer
from worker.scratch import scratch_directory
from worker.transcription.drain import Draining
from worker.transcription.lease import LeaseKeeper
from worker.transcription.models import ensure_bundle
from worker.transcription.retry import RetryPolicy
from worker.transcription.source import Fetcher
from worker.transcription.tasks import Transcriber

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
    engine = Engine.load(
        ensure_bundle(settings, lambda step: log.info("model_download", step=step)),
        device=settings.device,
        precision=settings.precision,
        threads=settings.torch_threads,
        batch_seconds=settings.batch_seconds,
        max_segment_ms=int(settings.max_segment_seconds * 1000),
        segmentation=settings.segmentation,
    )
    # The many module objects live as long as the process, so the garbage collector need not scan them again.
    gc.freeze()
    log.info(
        "model_loaded",
        model=engine.bundle,
        revision=engine.revision,
        device=str(engine.device),
        precision=engine.precision,
    )
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
    leases = LeaseKeeper(
        database,
        worker,
        lease_seconds=settings.lease_seconds,
        renew_seconds=settings.renew_seconds,
        on_drain=draining.told,
    )
    publisher = Publisher(queue)
    dispatcher = Dispatcher(
        database,
        publisher,
        redispatch_seconds=settings.redispatch_seconds,
        tenant_max_running=settings.tenant_max_running,
        wake_deliverers=publisher.wake_deliverers,
    )
    transcriber = Transcriber(
        settings=settings,
        database=database,
        engine=engine,
        fetcher=Fetcher(settings, database, make_storage(settings)),
        leases=leases,
        retries=RetryPolicy(
            settings.max_attempts,
            settings.retry_base_seconds,
            settings.retry_max_seconds,
            settings.max_outage_attempts,
        ),
        worker=worker.id,
        wake_dispatcher=dispatcher.wake,
    )
    queue.task(name=TRANSCRIBE)(transcriber.run)
    _on_signals(worker, leases, dispatcher, draining)
    engine.on_device_lost(lambda error: _stop_on_device_lost(error, leases))
    metrics = _metrics(settings, engine, worker, leases)
    metrics.start()
    dispatcher.start()
    try:
        consume(
            queue,
            hostname=f"transcribe@{worker.id}",
            concurrency=settings.worker_slots,
            queues=[transcribe_queue(worker.model)],
            loglevel=settings.log_level.upper(),
            optimization="fair",
        )
    finally:
        dispatcher.stop()
        leases.end()
        metrics.stop()
        engine.close()
        _say_goodbye(database, worker)
        database.close()
        log.info("worker_stopped")


def _metrics(settings: Settings, engine: Engine, worker: Worker, leases: LeaseKeeper) -> MetricsServer:
    prepare(worker.model)
    prepare_attempts(worker.model)
    collector = WorkerCollector(worker, engine, leases.running, settings.scratch_dir)
    return MetricsServer(settings, Exposition([collector]))


def _say_goodbye(database: Database, worker: Worker) -> None:
    """Remove the worker's row (best effort): a row that remains is considered dead half a minute later."""
    try:
        jobs.unregister_worker(database, worker.id)
    except ParaqueueError as error:
        log.warning("goodbye_unsaid", error_code=error.code)


def _on_signals(worker: Worker, leases: LeaseKeeper, dispatcher: Dispatcher, draining: Draining) -> None:
    """Connect to Celery's signals: only they tell reliably when the queue is being consumed."""

    def ready(sender: Any, **_: Any) -> None:
        draining.attach(sender)
        leases.start()
        dispatcher.wake()
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
