"""What an operator watches: how much waits, for how long, who works. Each query reads an index of what is open."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from common.db import Database
from common.jobs.scheduling.workers import ALIVE_SQL

STATEMENT_TIMEOUT_MS = 5000
# A paused job is one that waits for its next attempt, and not for a worker.
WAITING = text("""
SELECT model, priority, count(*), count(*) FILTER (WHERE not_before > now()),
       extract(epoch FROM now() - min(not_before))
FROM jobs WHERE status = 'queued' GROUP BY model, priority
""")
RUNNING = text("SELECT model, stage, count(*) FROM jobs WHERE status = 'processing' GROUP BY model, stage")
WORKERS = text(f"""
SELECT model, count(*) FILTER (WHERE NOT draining), count(*) FILTER (WHERE draining),
       coalesce(sum(slots) FILTER (WHERE NOT draining), 0)
FROM workers WHERE {ALIVE_SQL} GROUP BY model
""")
# Counted no further than this: a receiver that is away for days may have very many waiting.
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
    """Queued jobs of a model and priority. `oldest_seconds`: how long one of them could have been running by now."""

    model: str
    priority: int
    jobs: int
    paused: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class RunningJobs:
    """Jobs of a model that are being worked on, by stage."""

    model: str
    stage: str
    jobs: int


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """The live workers of a model; the slots are of those that take jobs."""

    model: str
    ready: int
    draining: int
    slots: int


@dataclass(frozen=True, slots=True)
class QueueStats:
    """One look. `deliveries_due` are late already; both counts of deliveries end at 10,000."""

    waiting: tuple[QueuedJobs, ...]
    running: tuple[RunningJobs, ...]
    crews: tuple[WorkerCounts, ...]
    deliveries_pending: int
    deliveries_due: int
    delivery_lag_seconds: float


def queue_stats(database: Database) -> QueueStats:
    """Look at what is open. Raises Unavailable."""
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
