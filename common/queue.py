"""The Celery application: names, routes and settings; a message contains at most a job id.

Messages are acknowledged early and not prefetched; lost ones are recovered by PostgreSQL (leases, the sweep), never by
Redis. `app` reads the environment on first use, so that `celery -A common.queue` works.
"""

from __future__ import annotations

import logging
import sys
import uuid
from typing import Any

import structlog
from celery import Celery
from celery.signals import setup_logging
from kombu.exceptions import KombuError
from kombu.messaging import Producer
from redis.exceptions import AuthenticationError, RedisError, ResponseError

from common import ids
from common.errors import ParaqueueError, Unavailable
from common.settings import BrokerSettings, load_settings
from common.telemetry import configure_logging
from common.telemetry.metrics import MESSAGES

TRANSCRIBE = "paraqueue.transcribe"
FETCH = "paraqueue.fetch"
SWEEP = "paraqueue.sweep"
CLEAN = "paraqueue.clean"
DELIVER = "paraqueue.deliver"
RENDER = "paraqueue.render"
SUMMARIZE = "paraqueue.summarize"
LIGHT_QUEUE = "light"
CLEAN_SECONDS = 600.0
# A message that was not taken by then is dropped: a day, as its age is measured by the clocks of two machines. A
# backlog costs nothing: a worker handles many identical requests at once.
STALE_SECONDS = 24 * 3600.0
FETCH_STALE_SECONDS = 60.0
SOCKET_TIMEOUT_SECONDS = 10.0
RECONNECT_SECONDS = 0.2
# The errors raised by publishing. Redis may be unreachable, or refuse writes: a replica (READONLY), a full disk
# (MISCONF), out of memory (OOM), a script that runs for too long (BUSY). kombu turns some of these into errors of its
# own.
BROKER_ERRORS = (KombuError, RedisError, OSError)
PROBE_KEY = "paraqueue:writable"
PROBE_SECONDS = 60


class ConsumerStopped(ParaqueueError):
    """A worker process cannot continue; its supervisor restarts it."""

    retryable = True


def transcribe_queue(model: str) -> str:
    """Return the queue of the workers that serve a model bundle."""
    return f"transcribe.{model}"


def configuration(settings: BrokerSettings) -> dict[str, Any]:
    """Return Celery's configuration for our settings."""
    return {
        "broker_url": settings.redis_url.get_secret_value(),
        "broker_connection_retry_on_startup": True,
        # Redis refusing writes (see BROKER_ERRORS) is as much an outage as Redis not responding. Otherwise the
        # consumer, and the process with it, would end.
        "broker_channel_error_retry": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "socket_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            # For publishing; kombu itself would retry for 6 s, and the dispatcher retries anyway.
            "max_retries": 1,
            "interval_start": RECONNECT_SECONDS,
        },
        "task_ignore_result": True,
        "task_acks_late": False,
        "task_default_queue": LIGHT_QUEUE,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": True,
        "worker_hijack_root_logger": False,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "enable_utc": True,
        "timezone": "UTC",
        "beat_schedule": {
            "sweep": _every(SWEEP, settings.sweep_seconds),
            "clean": _every(CLEAN, CLEAN_SECONDS),
        },
    }


def _every(task: str, interval_seconds: float) -> dict[str, Any]:
    options = {"queue": LIGHT_QUEUE, "expires": max(STALE_SECONDS, interval_seconds)}
    return {"task": task, "schedule": interval_seconds, "options": options}


def make_app(settings: BrokerSettings) -> Celery:
    """Create a Celery application with the given settings."""
    application = Celery("paraqueue")
    application.conf.update(configuration(settings))
    return application


class Publisher:
    """Announces jobs to workers."""

    def __init__(self, application: Celery) -> None:
        self._application = application
        for task in (TRANSCRIBE, FETCH, DELIVER, RENDER, SUMMARIZE):
            for outcome in ("sent", "failed"):
                MESSAGES.labels(task, outcome)

    def __call__(self, job_id: uuid.UUID, model: str) -> None:
        """Send one message. Raises Unavailable if Redis does not respond or accepts no writes."""
        self._send(TRANSCRIBE, args=[ids.shown(ids.JOB, job_id)], queue=transcribe_queue(model))

    def wake_fetchers(self, model: str) -> None:
        """Make a worker of the model check for links to download now. Raises Unavailable as the others do.

        Workers check every second in any case, so a message that nobody has read by then is of no use.
        """
        self._send(FETCH, queue=transcribe_queue(model), expires=FETCH_STALE_SECONDS)

    def wake_deliverers(self) -> None:
        """Make the light workers check the outbox now. Raises Unavailable if Redis does not respond."""
        self._send(DELIVER, queue=LIGHT_QUEUE, expires=STALE_SECONDS)

    def wake_renderers(self) -> None:
        """Make the light workers check for requested renditions. Raises Unavailable if Redis does not respond."""
        self._send(RENDER, queue=LIGHT_QUEUE, expires=STALE_SECONDS)

    def wake_summarizers(self) -> None:
        """Make the light workers check for requested summaries. Raises Unavailable if Redis does not respond."""
        self._send(SUMMARIZE, queue=LIGHT_QUEUE, expires=STALE_SECONDS)

    def _send(self, task: str, **options: Any) -> None:
        try:
            with self._application.producer_or_acquire() as producer:
                self._sent_by(producer, task, options)
        except BROKER_ERRORS as error:
            MESSAGES.labels(task, "failed").inc()
            raise Unavailable(_refusal(error)) from error
        MESSAGES.labels(task, "sent").inc()

    def _sent_by(self, producer: Producer, task: str, options: dict[str, Any]) -> None:
        try:
            self._application.send_task(task, producer=producer, retry=False, **options)
        except BROKER_ERRORS:
            # A connection on which all writes are refused may lead to a server that is no longer the primary.
            producer.connection.collect()
            raise


def check_broker(application: Celery) -> None:
    """Raise Unavailable if Redis does not respond within a few seconds or accepts no writes."""
    try:
        with application.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=RECONNECT_SECONDS, timeout=3)
            connection.default_channel.client.set(PROBE_KEY, "1", ex=PROBE_SECONDS)
    except BROKER_ERRORS as error:
        raise Unavailable(_refusal(error)) from error


def _refusal(error: Exception) -> str:
    refuses = isinstance(error, ResponseError) or isinstance(error.__cause__, ResponseError)
    return (
        "Redis takes no writes" if refuses and not isinstance(error, AuthenticationError) else "Redis does not respond"
    )


def consume(application: Celery, **options: Any) -> None:
    """Run tasks in threads of this process until it is stopped.

    Raises ConsumerStopped if Celery stopped by itself, which it reports only in an attribute.
    """
    worker = application.Worker(pool="threads", without_gossip=True, without_mingle=True, quiet=True, **options)
    worker.start()
    if worker.exitcode:
        raise ConsumerStopped(f"the message consumer stopped (status {worker.exitcode})")


app = Celery("paraqueue")
app.add_defaults(lambda: configuration(load_settings()))


class _InALine(logging.Filter):
    """Shortens to one line the two tracebacks that beat logs for each message it cannot send to Redis."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep all records, shortened."""
        if str(record.msg).startswith("Message Error") and isinstance(record.args, tuple):
            record.msg, record.args, record.exc_info = "message_postponed: %s", record.args[:1], None
        return True


def _log_as_others_do(**_: Any) -> None:
    """Configure JSON logs for `celery -A common.queue beat`; the workers have configured theirs by now."""
    if structlog.is_configured():
        return
    configure_logging(load_settings(), service="beat" if "beat" in sys.argv else "celery")
    logging.getLogger("celery.beat").addFilter(_InALine())


setup_logging.connect(_log_as_others_do, weak=False)
