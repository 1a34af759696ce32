"""The Celery application: names, routes and settings. A message holds a job id at most.

Messages are acknowledged early and not prefetched; what recovers a lost one is Postgres (leases, the sweep),
never Redis. `app` reads the environment when it is first used, so that `celery -A common.queue` works.
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
SWEEP = "paraqueue.sweep"
CLEAN = "paraqueue.clean"
DELIVER = "paraqueue.deliver"
RENDER = "paraqueue.render"
LIGHT_QUEUE = "light"
CLEAN_SECONDS = 600.0
# A message that nobody took is dropped after this time: a day, as it counts by the clocks of two machines. What piled
# up in it costs nothing: a worker does what many of them ask for once.
STALE_SECONDS = 24 * 3600.0
SOCKET_TIMEOUT_SECONDS = 10.0
RECONNECT_SECONDS = 0.2
# What publishing raises. Redis may be away, or there and refuse to write: a replica (READONLY), a disk that is full
# (MISCONF), no memory (OOM), a script that runs for too long (BUSY). kombu makes errors of its own of some of these.
BROKER_ERRORS = (KombuError, RedisError, OSError)
PROBE_KEY = "paraqueue:writable"
PROBE_SECONDS = 60


class ConsumerStopped(ParaqueueError):
    """A worker process cannot go on; whoever supervises it starts it again."""

    retryable = True


def transcribe_queue(model: str) -> str:
    """The queue of the workers that serve a model bundle."""
    return f"transcribe.{model}"


def configuration(settings: BrokerSettings) -> dict[str, Any]:
    """Celery's settings for ours."""
    return {
        "broker_url": settings.redis_url.get_secret_value(),
        "broker_connection_retry_on_startup": True,
        # Redis that refuses to write (see BROKER_ERRORS) is an outage as much as one that does not answer. Else the
        # consumer would end, and the process with it.
        "broker_channel_error_retry": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": {
            "socket_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_connect_timeout": SOCKET_TIMEOUT_SECONDS,
            "socket_keepalive": True,
            # For publishing; kombu itself would try for 6 s, and the dispatcher tries again anyway.
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
    """A Celery application with the given settings."""
    application = Celery("paraqueue")
    application.conf.update(configuration(settings))
    return application


class Publisher:
    """Announces jobs to workers."""

    def __init__(self, application: Celery) -> None:
        self._application = application
        for task in (TRANSCRIBE, DELIVER, RENDER):
            for outcome in ("sent", "failed"):
                MESSAGES.labels(task, outcome)

    def __call__(self, job_id: uuid.UUID, model: str) -> None:
        """Send one message. Raises Unavailable where Redis does not respond, or takes nothing."""
        self._send(TRANSCRIBE, args=[ids.shown(ids.JOB, job_id)], queue=transcribe_queue(model))

    def wake_deliverers(self) -> None:
        """Have the light workers look into the outbox now. Raises Unavailable where Redis does not respond."""
        self._send(DELIVER, queue=LIGHT_QUEUE, expires=STALE_SECONDS)

    def wake_renderers(self) -> None:
        """Have the light workers look for wanted renditions. Raises Unavailable where Redis does not respond."""
        self._send(RENDER, queue=LIGHT_QUEUE, expires=STALE_SECONDS)

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
            # A connection that only brings refusals may lead to a server that is no primary any more.
            producer.connection.collect()
            raise


def check_broker(application: Celery) -> None:
    """Raises Unavailable where Redis does not respond within a few seconds, or takes no writes."""
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
    """Run tasks in threads of this process until it is told to end.

    Raises ConsumerStopped where Celery gave up by itself: it says so only in an attribute.
    """
    worker = application.Worker(pool="threads", without_gossip=True, without_mingle=True, quiet=True, **options)
    worker.start()
    if worker.exitcode:
        raise ConsumerStopped(f"the consumer of messages gave up (status {worker.exitcode})")


app = Celery("paraqueue")
app.add_defaults(lambda: configuration(load_settings()))


class _InALine(logging.Filter):
    """Beat prints two tracebacks for each message that it could not send; Redis being away is said in a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep all, shortened."""
        if str(record.msg).startswith("Message Error") and isinstance(record.args, tuple):
            record.msg, record.args, record.exc_info = "message_postponed: %s", record.args[:1], None
        return True


def _log_as_others_do(**_: Any) -> None:
    """For `celery -A common.queue beat`, whose own log is plain text. The workers have configured theirs by now."""
    if structlog.is_configured():
        return
    configure_logging(load_settings(), service="beat" if "beat" in sys.argv else "celery")
    logging.getLogger("celery.beat").addFilter(_InALine())


setup_logging.connect(_log_as_others_do, weak=False)
