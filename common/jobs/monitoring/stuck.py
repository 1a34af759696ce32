"""What does not move although it should, for an operator: see `find_stuck`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.jobs.scheduling.workers import ALIVE_SQL
from common.models import QUARANTINE_CRASHES

# A sweep takes an expired lease back within seconds, and dispatch announces within seconds: this is far more.
GRACE_SECONDS = 60.0


class StuckKind(StrEnum):
    """In which way something is stuck."""

    NO_WORKER = "no_worker"
    NOT_TAKEN = "not_taken"
    NO_PROGRESS = "no_progress"
    LEASE_EXPIRED = "lease_expired"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Stuck:
    """Something that is stuck: a job, or for NO_WORKER a model with all its waiting jobs. `worker`: who has it."""

    kind: StuckKind
    subject: str
    seconds: float
    count: int = 1
    worker: str | None = None


LIVE = f"""
SELECT DISTINCT model FROM workers
WHERE NOT draining AND {ALIVE_SQL}
"""
NO_WORKER = text(f"""
SELECT model, count(*) AS number, extract(epoch FROM now() - min(created_at)) AS age
FROM jobs WHERE status = 'queued' AND model NOT IN ({LIVE}) GROUP BY model ORDER BY model
""")
# Announced because slots are free, lately, since that is done again and again; and yet no worker of the model begins
# anything, not even a job that came later.
NOT_TAKEN = text(f"""
SELECT id, extract(epoch FROM now() - greatest(created_at, not_before)) AS age, NULL AS worker FROM jobs
WHERE status = 'queued' AND dispatched_at > now() - make_interval(secs => :silence) AND model IN ({LIVE})
AND greatest(created_at, not_before) < now() - make_interval(secs => :silence)
AND NOT EXISTS (
    SELECT FROM attempts JOIN jobs AS begun ON begun.id = attempts.job_id
    WHERE begun.model = jobs.model AND attempts.started_at > now() - make_interval(secs => :silence)
)
ORDER BY age DESC LIMIT :limit
""")
# A part is some minutes of audio; between two of them nothing else says that a worker gets on.
NO_PROGRESS = text("""
SELECT held.id, extract(epoch FROM now() - held.moved_at) AS age, held.lease_worker AS worker FROM (
    SELECT jobs.id, jobs.lease_worker, greatest(
        (SELECT max(started_at) FROM attempts WHERE job_id = jobs.id AND ended_at IS NULL),
        (SELECT max(created_at) FROM parts WHERE job_id = jobs.id AND parts.run = jobs.run)
    ) AS moved_at
    FROM jobs WHERE status = 'processing' AND lease_expires_at > now()
) AS held
WHERE held.moved_at < now() - make_interval(secs => :progress)
ORDER BY held.moved_at LIMIT :limit
""")
LEASE_EXPIRED = text("""
SELECT id, extract(epoch FROM now() - lease_expires_at) AS age, lease_worker AS worker FROM jobs
WHERE status = 'processing' AND lease_expires_at < now() - make_interval(secs => :grace)
ORDER BY lease_expires_at LIMIT :limit
""")
SUSPECTS = text(f"""
SELECT id, extract(epoch FROM now() - created_at) AS age, NULL AS worker FROM jobs
WHERE status = 'queued' AND crashes >= {QUARANTINE_CRASHES} ORDER BY created_at LIMIT :limit
""")


def find_stuck(
    database: Database, *, progress_seconds: float, redispatch_seconds: float, limit: int = 50
) -> list[Stuck]:
    """All that is stuck, at most `limit` jobs of each kind, the longest first.

    `progress_seconds`: a running job without a new part for so long counts; a fetch may take as long as the settings
    allow.
    """
    values = {
        "grace": GRACE_SECONDS,
        # One announcement may be lost.
        "silence": redispatch_seconds + GRACE_SECONDS,
        "progress": progress_seconds,
        "limit": limit,
    }
    jobs = {
        StuckKind.LEASE_EXPIRED: LEASE_EXPIRED,
        StuckKind.NO_PROGRESS: NO_PROGRESS,
        StuckKind.NOT_TAKEN: NOT_TAKEN,
        StuckKind.SUSPECT: SUSPECTS,
    }
    with database.transaction() as session:
        found = _without_workers(session)
        for kind, statement in jobs.items():
            found += [_of(kind, row) for row in session.execute(statement, values)]
    return found


def _without_workers(session: Session) -> list[Stuck]:
    return [
        Stuck(StuckKind.NO_WORKER, model, float(age), int(number)) for model, number, age in session.execute(NO_WORKER)
    ]


def _of(kind: StuckKind, row: Row[tuple[object, ...]]) -> Stuck:
    return Stuck(kind, ids.shown(ids.JOB, row.id), float(row.age), worker=row.worker)
