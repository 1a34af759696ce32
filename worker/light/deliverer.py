"""Sends due deliveries from the outbox in separate threads, so that a slow receiver does not delay the others.

`receiver_slots` decides which deliveries get a thread.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import structlog

from common import ids, webhooks
from common.background import Background
from common.db import Database
from common.errors import ParaqueueError, Unavailable
from common.telemetry import get_logger, tracing
from common.webhooks import ClaimedDelivery, Due
from worker.light.receiver_slots import PER_LANE, THREADS, ReceiverSlots
from worker.light.sender import RetrySchedule, Sender, SendResult
from worker.metrics import count_delivery

log = get_logger(__name__)
# Time that an attempt may need beyond its timeout: resolving the host name and recording the result.
LEASE_SLACK_SECONDS = 45.0
# How long to wait for an unavailable database when recording a result, so that a delivered event is not sent again.
# Must be within the slack.
RECORD_SECONDS = 30.0
RECORD_PAUSE_SECONDS = 0.5


class Deliverer(Background):
    """A thread that looks for due deliveries when woken, and a pool of threads that send them."""

    def __init__(self, database: Database, sender: Sender, plan: RetrySchedule) -> None:
        super().__init__("deliverer")
        self._database = database
        self._sender = sender
        self._plan = plan
        self._lease_seconds = sender.timeout_seconds + LEASE_SLACK_SECONDS
        self._lanes = ReceiverSlots()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="deliver")

    def stop(self) -> None:
        """Claim no more deliveries and wait for running attempts, which end at their timeout at the latest."""
        super().stop()
        self._pool.shutdown(wait=True)

    def work(self) -> None:
        """Assign due deliveries to threads until nothing is due or no thread is free."""
        try:
            while self._hand_out() and not self.stopping:
                pass
        except ParaqueueError as error:
            # The sweep wakes us again in a few seconds.
            log.warning("deliveries_postponed", error_code=error.code, reason=error.message)

    def _hand_out(self) -> int:
        """Assign due deliveries to free threads and return how many were assigned."""
        slots = self._lanes
        due = webhooks.due(
            self._database,
            full=slots.full(),
            per_lane=PER_LANE,
            full_tenants=slots.full_tenants(),
            trusted=slots.trusted(),
        )
        taken = {item.id: item for item in slots.take(due)}
        if not taken:
            return 0
        try:
            parcels = webhooks.claim_deliveries(self._database, list(taken), lease_seconds=self._lease_seconds)
            for parcel in parcels:
                self._pool.submit(self._deliver, parcel, taken.pop(parcel.id))
            return len(parcels)
        finally:
            for item in taken.values():  # claimed by another worker, or no longer wanted
                slots.give_back(item, succeeded=None)

    def _deliver(self, parcel: ClaimedDelivery, item: Due) -> None:
        sent: SendResult | None = None
        began = time.monotonic()
        try:
            with _told_of(parcel) as span:
                sent = self._sender.send(parcel)
                span.tell({"http.response.status_code": sent.report.status or 0})
                if sent.report.error is not None:
                    span.fail(sent.report.error)
                self._persist(parcel, sent, time.monotonic() - began)
        except ParaqueueError as error:
            # It is due again when the lease expires; at worst it is delivered twice.
            log.warning("delivery_not_recorded", delivery_id=parcel.public_id, error_code=error.code)
        except Exception:
            log.exception("delivery_crashed", delivery_id=parcel.public_id)
        finally:
            self._lanes.give_back(item, succeeded=sent is not None and sent.delivered)
            self.wake()

    def _persist(self, parcel: ClaimedDelivery, sent: SendResult, took_seconds: float) -> None:
        deadline = time.monotonic() + RECORD_SECONDS
        while True:
            try:
                self._record(parcel, sent, took_seconds)
                return
            except Unavailable:
                if self.stopping or time.monotonic() > deadline:
                    raise
                time.sleep(RECORD_PAUSE_SECONDS)

    def _record(self, parcel: ClaimedDelivery, sent: SendResult, took_seconds: float) -> None:
        fields = {
            "delivery_id": parcel.public_id,
            "event_type": parcel.event,
            "attempt": parcel.attempt,
            "status": sent.report.status,
            "took_ms": round(took_seconds * 1000),
        }
        if sent.delivered:
            webhooks.record_delivered(self._database, parcel, sent.report)
            outcome = "delivered"
            log.info("webhook_delivered", **fields)
        elif sent.gone:
            webhooks.record_gone(self._database, parcel, sent.report)
            outcome = "gone"
            log.warning("webhook_gone", **fields)
        else:
            pause = None if sent.final else self._pause(parcel, sent)
            webhooks.record_failed(self._database, parcel, sent.report, pause_seconds=pause)
            outcome = "dead" if pause is None else "retrying"
            again_in = None if pause is None else round(pause, 1)
            log.warning("webhook_failed", error=sent.report.error, again_in_seconds=again_in, **fields)
        age = (datetime.now(UTC) - parcel.created_at).total_seconds()
        count_delivery(outcome, sent.report.error, took_seconds=took_seconds, age_seconds=age)

    def _pause(self, parcel: ClaimedDelivery, sent: SendResult) -> float | None:
        return self._plan.pause(parcel.event, parcel.failures + 1, retry_after=sent.retry_after, jitter=random.random())


@contextmanager
def _told_of(parcel: ClaimedDelivery) -> Iterator[tracing.Span]:
    """Bind the job of the delivery to the log and the trace."""
    names = {"job_id": ids.shown(ids.JOB, parcel.job_id)} if parcel.job_id is not None else {}
    attributes: tracing.Attributes = {
        "paraqueue.delivery_id": parcel.public_id,
        "paraqueue.event": parcel.event,
        "paraqueue.attempt": parcel.attempt,
        **{f"paraqueue.{name}": value for name, value in names.items()},
    }
    # A later attempt runs minutes or days afterwards, or on request.
    to = tracing.relation(parcel.traceparent, parcel.created_at, first=parcel.attempt == 1)
    traced = tracing.span("deliver webhook", kind="client", parent=to.parent, link=to.link, attributes=attributes)
    with structlog.contextvars.bound_contextvars(**names), traced as span:
        yield span
