"""Queue statistics for operators: queue lengths, waiting times and workers, each read from an index of open rows."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from common.db import Database
from common.jobs.scheduling.workers import ALIVE_SQL

STATEMENT_TIMEOUT_MS = 5000
# A paused job waits for its next attempt, not for a worker. Each half of the queue has an index of its own, and only a
# query with that index's condition can use it.
WAITING = text("""
SELECT model, priority, count(*), count(*) FILTER (WHERE not_before > now()),
       extract(epoch FROM now() - min(not_before))
FROM (
    SELECT model, priority, not_before FROM jobs WHERE status = 'queued' AND audio_key IS NOT NULL
    UNION ALL
    SELECT model, priority, not_before FROM jobs WHERE status = 'queued' AND audio_key IS NULL
) AS queued GROUP BY model, priority
""")
RUNNING = text("SELECT model, stage, count(*) FROM jobs WHERE status = 'processing' GROUP BY model, stage")
WORKERS = text(f"""
SELECT model, count(*) FILTER (WHERE NOT draining), count(*) FILTER (WHERE draining),
       coalesce(sum(slots) FILTER (WHERE NOT draining), 0)
FROM workers WHERE {ALIVE_SQL} GROUP BY model
""")
# Counting stops here: a receiver that is down for days may have very many waiting deliveries.
MOST_DELIVERIES = 10_000
DELIVERIES = text(f"""
SELECT (SELECT count(*) FROM (SELECT FROM deliveries WHERE status = 'pending' LIMIT {MOST_DELIVERIES}) AS found),
       (SELECT count(*) FROM (SELECT FROM deliveries WHERE status = 'pending' AND next_attempt_at <= now()
                              LIMIT {MOST_DELIVERIES}) AS found),
       coalesce((SELECT extract(epoch FROM now() - next_attempt_at) FROM deliveries
                 WHERE status = 'pending' AND next_attempt_at <= now() ORDER BY next_attempt_at LIMIT 1), 0)
""")


@dataclass(frozen=True, slots=True)
class QueuedJobs:
    """Queued jobs of a model and priority; `oldest_seconds` is the longest time since one of them became due."""

    model: str
    priority: int
    jobs: int
    paused: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class RunningJobs:
    """Processing jobs of a model, by stage."""

    model: str
    stage: str
    jobs: int


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """The live workers of a model; the slots are those of workers that accept jobs."""

    model: str
    ready: int
    draining: int
    slots: int


@dataclass(frozen=True, slots=True)
class QueueStats:
    """A snapshot of the queue; `deliveries_due` are overdue, and both counts of deliveries stop at 10,000."""

    waiting: tuple[QueuedJobs, ...]
    running: tuple[RunningJobs, ...]
    crews: tuple[WorkerCounts, ...]
    deliveries_pending: int
    deliveries_due: int
    delivery_lag_seconds: float


def queue_stats(database: Database) -> QueueStats:
    """Read a snapshot of the open jobs. Raises Unavailable."""
    with database.transaction() as session:
        session.execute(text(f"SET LOCAL statement_timeout = {STATEMENT_TIMEOUT_MS}"))
        pending, due, lag = session.execute(DELIVERIES).one()
        return QueueStats(
            waiting=_waiting(session),
            running=tuple(RunningJobs(*row) for row in session.execute(RUNNING)),
            crews=tuple(
                WorkerCounts(model, ready, draining, int(slots)) for model, ready, draining, slots in _workers(session)
            ),
            deliveries_pending=pending,
            deliveries_due=due,
            delivery_lag_seconds=float(lag),
        )


def _waiting(session: Session) -> tuple[QueuedJobs, ...]:
    return tuple(
        QueuedJobs(model, priority, jobs, paused, max(0.0, float(oldest)))
        for model, priority, jobs, paused, oldest in session.execute(WAITING)
    )


def _workers(session: Session) -> list[tuple[str, int, int, int]]:
    return [tuple(row) for row in session.execute(WORKERS)]
