"""Which queued jobs go to the workers next.

Postgres decides, a Celery message only wakes a worker up: no more jobs are announced than there are free
slots, so that everything else waits where it can still be reordered. A message that is lost is announced
again after `redispatch_seconds`; one that arrives twice finds its job claimed.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from common import webhooks
from common.db import Database
from common.errors import Unavailable
from common.job_states import Status
from common.jobs.registry import alive, seconds
from common.models import JobRow, WorkerRow
from common.telemetry import get_logger

# Any number, the same in every process: the advisory lock under which one dispatcher at a time chooses.
DISPATCH_LOCK = 0x7061_7261
log = get_logger(__name__)

Publish = Callable[[uuid.UUID, str], None]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A job to announce to the workers of a model."""

    job_id: uuid.UUID
    model: str


def dispatch(database: Database, publish: Publish, *, redispatch_seconds: float) -> int:
    """Announce the jobs that should run next; returns how many. Safe to call from anywhere, any time.

    Raises Unavailable where the broker does not answer; the jobs concerned are then announced by the
    next call.
    """
    with database.transaction() as session:
        # Waiting, not trying: a dispatcher that gave way to another might have seen a job that one had not.
        session.execute(select(func.pg_advisory_xact_lock(DISPATCH_LOCK)))
        chosen = _choose(session, redispatch_seconds)
    sent = 0
    try:
        for item in chosen:
            publish(item.job_id, item.model)
            sent += 1
    finally:
        _take_back(database, chosen[sent:])
    return sent


def _choose(session: Session, redispatch_seconds: float) -> list[Chosen]:
    recent = func.now() - seconds(redispatch_seconds)
    slots = session.execute(
        select(WorkerRow.model, func.sum(WorkerRow.slots)).where(alive()).group_by(WorkerRow.model)
    ).all()
    chosen: list[Chosen] = []
    for model, total in slots:
        busy = session.scalar(
            select(func.count()).where(
                JobRow.model == model,
                (JobRow.status == Status.PROCESSING)
                | ((JobRow.status == Status.QUEUED) & (JobRow.dispatched_at > recent)),
            )
        )
        free = int(total) - int(busy or 0)
        if free > 0:
            chosen += [Chosen(job_id, model) for job_id in _announce(session, model, free, recent)]
    return chosen


def _announce(session: Session, model: str, limit: int, recent: object) -> Sequence[uuid.UUID]:
    """Mark the next jobs of a model as announced: highest priority first, then oldest."""
    waiting = (
        select(JobRow.id)
        .where(
            JobRow.status == Status.QUEUED,
            JobRow.model == model,
            JobRow.not_before <= func.now(),
            JobRow.dispatched_at.is_(None) | (JobRow.dispatched_at <= recent),
        )
        .order_by(JobRow.priority.desc(), JobRow.created_at, JobRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        # A CTE is run once; a subquery in the UPDATE may be run again, and then locks more than the limit.
        .cte("waiting")
    )
    announced = (
        update(JobRow)
        .where(JobRow.id.in_(select(waiting.c.id)))
        .values(dispatched_at=func.now())
        .returning(JobRow.id, JobRow.priority, JobRow.created_at)
        .cte("announced")
    )
    # RETURNING knows no order, and the workers take messages in the order that they come.
    order = (announced.c.priority.desc(), announced.c.created_at, announced.c.id)
    return session.scalars(select(announced.c.id).order_by(*order)).all()


def _take_back(database: Database, unsent: Sequence[Chosen]) -> None:
    if not unsent:
        return
    with database.transaction() as session:
        session.execute(
            update(JobRow)
            .where(JobRow.id.in_([item.job_id for item in unsent]), JobRow.status == Status.QUEUED)
            .values(dispatched_at=None)
        )


class Dispatcher:
    """A background thread that calls `dispatch` when woken; many wakes in a row become one call."""

    def __init__(
        self,
        database: Database,
        publish: Publish,
        *,
        redispatch_seconds: float,
        wake_deliverers: Callable[[], None] | None = None,
    ) -> None:
        """`wake_deliverers` is called when webhooks are due; without it they wait for the sweep."""
        self._database = database
        self._publish = publish
        self._redispatch_seconds = redispatch_seconds
        self._wake_deliverers = wake_deliverers
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="dispatcher", daemon=True)

    def start(self) -> None:
        """Begin; the first dispatch happens at once."""
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        """Ask for a dispatch soon. Never blocks, never fails."""
        self._woken.set()

    def stop(self) -> None:
        """End the thread after the dispatch it may be in."""
        self._stopping = True
        self._woken.set()
        with suppress(RuntimeError):  # never started
            self._thread.join(timeout=10)

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            if self._stopping:
                return
            self._dispatch_once()

    def _dispatch_once(self) -> None:
        try:
            sent = dispatch(self._database, self._publish, redispatch_seconds=self._redispatch_seconds)
            if self._wake_deliverers is not None and webhooks.any_due(self._database):
                self._wake_deliverers()
        except Unavailable as error:
            # The sweep calls dispatch too, every few seconds: nothing is lost, only later.
            log.warning("dispatch_postponed", reason=error.message)
        except Exception:
            log.exception("dispatch_failed")
        else:
            if sent:
                log.debug("dispatched", jobs=sent)
