"""Sends what is due in the outbox, in threads of its own, so that nobody's slow receiver holds anybody up.

Deliveries to one receiver share a lane. A lane has a few threads at most, one while its last try failed; and lanes
that fail have half of the threads between them, so that there is always room for those that work.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
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
from worker.light.sender import RetrySchedule, Sender, SendResult
from worker.metrics import count_delivery

log = get_logger(__name__)
THREADS = 32
PER_LANE = 4
FAILING_THREADS = THREADS // 2
REMEMBERED_LANES = 1000
# What a try may take beyond its time-out: resolving the name, and recording what came of it.
LEASE_SLACK_SECONDS = 45.0
# How long a database that is away is waited for, so that what arrived is not sent again. Within the slack.
RECORD_SECONDS = 30.0
RECORD_PAUSE_SECONDS = 0.5


class ReceiverSlots:
    """How many threads each lane has, and which lanes failed last. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()
        self._failing: OrderedDict[str, None] = OrderedDict()

    def full(self) -> set[str]:
        """The lanes that can have no further thread now."""
        with self._lock:
            names = set(self._busy) | (set(self._failing) if self._failing_room() <= 0 else set())
            return {lane for lane in names if self._room(lane) <= 0}

    def take(self, due: Sequence[Due]) -> list[Due]:
        """The first of these, as far as there are threads for them; give each of them back."""
        taken = []
        with self._lock:
            for item in due:
                if sum(self._busy.values()) < THREADS and self._room(item.lane) > 0:
                    self._busy[item.lane] += 1
                    taken.append(item)
        return taken

    def give_back(self, lane: str, *, succeeded: bool | None) -> None:
        """A thread is free again; None where nothing was tried."""
        with self._lock:
            self._busy[lane] -= 1
            if self._busy[lane] <= 0:
                del self._busy[lane]
            if succeeded is None:
                return
            self._failing.pop(lane, None)
            if not succeeded:
                self._failing[lane] = None
                if len(self._failing) > REMEMBERED_LANES:
                    self._failing.popitem(last=False)

    def _room(self, lane: str) -> int:
        if lane not in self._failing:
            return PER_LANE - self._busy[lane]
        return min(1 - self._busy[lane], self._failing_room())

    def _failing_room(self) -> int:
        return FAILING_THREADS - sum(number for lane, number in self._busy.items() if lane in self._failing)


class Deliverer(Background):
    """A thread that looks for due deliveries when woken, and others that send them."""

    def __init__(self, database: Database, sender: Sender, plan: RetrySchedule) -> None:
        super().__init__("deliverer")
        self._database = database
        self._sender = sender
        self._plan = plan
        self._lease_seconds = sender.timeout_seconds + LEASE_SLACK_SECONDS
        self._lanes = ReceiverSlots()
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="deliver")

    def stop(self) -> None:
        """Take nothing more, and wait for the tries under way, which end by their time-out."""
        super().stop()
        self._pool.shutdown(wait=True)

    def work(self) -> None:
        """Hand out what is due, until nothing is or no thread is free."""
        try:
            while self._hand_out() and not self.stopping:
                pass
        except ParaqueueError as error:
            # The sweep wakes us again in a few seconds.
            log.warning("deliveries_postponed", error_code=error.code, reason=error.message)

    def _hand_out(self) -> int:
        """Give due deliveries to free threads; returns how many."""
        due = webhooks.due(self._database, full=self._lanes.full(), per_lane=PER_LANE)
        taken = {item.id: item.lane for item in self._lanes.take(due)}
        if not taken:
            return 0
        try:
            parcels = webhooks.claim_deliveries(self._database, list(taken), lease_seconds=self._lease_seconds)
            for parcel in parcels:
                self._pool.submit(self._deliver, parcel)
                del taken[parcel.id]
            return len(parcels)
        finally:
            for lane in taken.values():  # another worker has them, or they are not wanted any more
                self._lanes.give_back(lane, succeeded=None)

    def _deliver(self, parcel: ClaimedDelivery) -> None:
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
            # It is due again when the lease ends, and then arrives twice at worst.
            log.warning("delivery_not_recorded", delivery_id=parcel.public_id, error_code=error.code)
        except Exception:
            log.exception("delivery_crashed", delivery_id=parcel.public_id)
        finally:
            self._lanes.give_back(parcel.lane, succeeded=sent is not None and sent.delivered)
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
        told = {
            "delivery_id": parcel.public_id,
            "event_type": parcel.event,
            "attempt": parcel.attempt,
            "status": sent.report.status,
            "took_ms": round(took_seconds * 1000),
        }
        if sent.delivered:
            webhooks.record_delivered(self._database, parcel, sent.report)
            outcome = "delivered"
            log.info("webhook_delivered", **told)
        elif sent.gone:
            webhooks.record_gone(self._database, parcel, sent.report)
            outcome = "gone"
            log.warning("webhook_gone", **told)
        else:
            pause = None if sent.final else self._pause(parcel, sent)
            webhooks.record_failed(self._database, parcel, sent.report, pause_seconds=pause)
            outcome = "dead" if pause is None else "retrying"
            again_in = None if pause is None else round(pause, 1)
            log.warning("webhook_failed", error=sent.report.error, again_in_seconds=again_in, **told)
        age = (datetime.now(UTC) - parcel.created_at).total_seconds()
        count_delivery(outcome, sent.report.error, took_seconds=took_seconds, age_seconds=age)

    def _pause(self, parcel: ClaimedDelivery, sent: SendResult) -> float | None:
        return self._plan.pause(parcel.event, parcel.failures + 1, retry_after=sent.retry_after, jitter=random.random())


@contextmanager
def _told_of(parcel: ClaimedDelivery) -> Iterator[tracing.Span]:
    """The log and the trace say which job it is about."""
    names = {"job_id": ids.shown(ids.JOB, parcel.job_id)} if parcel.job_id is not None else {}
    attributes: tracing.Attributes = {
        "paraqueue.delivery_id": parcel.public_id,
        "paraqueue.event": parcel.event,
        "paraqueue.attempt": parcel.attempt,
        **{f"paraqueue.{name}": value for name, value in names.items()},
    }
    # A later try comes minutes or days afterwards, or because somebody asked for it.
    to = tracing.relation(parcel.traceparent, parcel.created_at, first=parcel.attempt == 1)
    traced = tracing.span("deliver webhook", kind="client", parent=to.parent, link=to.link, attributes=attributes)
    with structlog.contextvars.bound_contextvars(**names), traced as span:
        yield span
