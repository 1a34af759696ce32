"""Detection of jobs that should make progress but do not; see `find_stuck`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.jobs.scheduling.workers import ALIVE_SQL
from common.models import QUARANTINE_CRASHES

# A sweep takes back an expired lease within seconds, and dispatch announces jobs within seconds: this is far more.
GRACE_SECONDS = 60.0


class StuckKind(StrEnum):
    """The way in which something is stuck."""

    NO_WORKER = "no_worker"
    NOT_TAKEN = "not_taken"
    NO_PROGRESS = "no_progress"
    LEASE_EXPIRED = "lease_expired"
    SUSPECT = "suspect"


@dataclass(frozen=True, slots=True)
class Stuck:
    """A stuck job or, for NO_WORKER, a model with all its queued jobs; `worker` is the one that holds the job."""

    kind: StuckKind
    subject: str
    seconds: float
    count: int = 1
    worker: str | None = None


LIVE = f"""
SELECT DISTINCT model FROM workers
WHERE NOT draining AND {ALIVE_SQL}
"""
# Each half of the queue has an index of its own, and only a query with that index's condition can use it.
NO_WORKER = text(f"""
SELECT model, count(*) AS number, extract(epoch FROM now() - min(created_at)) AS age FROM (
    SELECT model, created_at FROM jobs WHERE status = 'queued' AND audio_key IS NOT NULL
    UNION ALL
    SELECT model, created_at FROM jobs WHERE status = 'queued' AND audio_key IS NULL
) AS queued WHERE model NOT IN ({LIVE}) GROUP BY model ORDER BY model
""")
# The models of which an attempt in a slot started recently: downloads of links do not show that anybody reads the
# queue. Attempts have no index by time; such an attempt's job is still processing, has just ended, or is queued again,
# and each of these has an index.
STARTED = """
SELECT begun.model FROM (
    SELECT id, model FROM jobs WHERE status = 'processing' AND audio_key IS NOT NULL
    UNION ALL
    SELECT id, model FROM jobs WHERE result_deleted_at IS NULL AND finished_at > now() - make_interval(secs => :silence)
    AND (audio_key IS NOT NULL OR status = 'completed')
    UNION ALL
    SELECT id, model FROM jobs WHERE status = 'queued' AND audio_key IS NOT NULL AND attempts > 0
) AS begun
WHERE (SELECT max(started_at) FROM attempts WHERE job_id = begun.id AND outcome IS DISTINCT FROM 'fetched')
    > now() - make_interval(secs => :silence)
"""
# Announced recently, so slots are free (a job is announced repeatedly while they are), yet no worker of the model has
# started anything, not even a later job.
NOT_TAKEN = text(f"""
SELECT id, extract(epoch FROM now() - greatest(created_at, not_before)) AS age, NULL AS worker FROM jobs
WHERE status = 'queued' AND dispatched_at > now() - make_interval(secs => :silence) AND model IN ({LIVE})
AND greatest(created_at, not_before) < now() - make_interval(secs => :silence)
AND model NOT IN ({STARTED})
ORDER BY age DESC LIMIT :limit
""")
# A part is some minutes of audio; between two parts nothing else shows that a worker makes progress.
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
    """Find everything that is stuck, at most `limit` jobs of each kind, the longest-stuck first.

    `progress_seconds`: a processing job without a new part for this long counts as stuck; a fetch may take as long as
    the settings allow.
    """
    values = {
        "grace": GRACE_SECONDS,
        # One lost announcement is tolerated.
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
        stuck = _without_workers(session)
        for kind, statement in jobs.items():
            stuck += [_of(kind, row) for row in session.execute(statement, values)]
    return stuck


def _without_workers(session: Session) -> list[Stuck]:
    return [
        Stuck(StuckKind.NO_WORKER, model, float(age), int(number)) for model, number, age in session.execute(NO_WORKER)
    ]


def _of(kind: StuckKind, row: Row[tuple[object, ...]]) -> Stuck:
    return Stuck(kind, ids.shown(ids.JOB, row.id), float(row.age), worker=row.worker)
