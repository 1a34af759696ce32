"""Index-based queries on queued jobs, fast for a queue of any length.

`jobs_waiting` orders jobs by model, priority, tenant, key and age. PostgreSQL reads the distinct tenants of a priority,
and the keys of a tenant, with a "loose index scan" (jumping from one value to the next), so the cost of a dispatch
depends on the number of waiting tenants and free slots, not on the number of jobs.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from common.jobs.scheduling.fairness import QueuedJob
from common.models import NO_KEY, QUARANTINE_CRASHES

KEY = f"coalesce(key_id, '{NO_KEY}'::uuid)"
HERE = "status = 'queued' AND model = :model AND priority = :priority"

BUSY = text("""
SELECT model, tenant, key_id, suspect, announced, count(*) FROM (
    SELECT model, tenant, key_id, false AS suspect, false AS announced FROM jobs WHERE status = 'processing'
    UNION ALL
    SELECT model, tenant, key_id, crashes >= :quarantine_crashes, true FROM jobs
    WHERE status = 'queued' AND dispatched_at > now() - make_interval(secs => :redispatch_seconds)
) AS busy GROUP BY model, tenant, key_id, suspect, announced
""")

PRIORITIES = text("""
SELECT level.priority FROM generate_series(9, 0, -1) AS level(priority)
CROSS JOIN LATERAL (
    SELECT FROM jobs WHERE status = 'queued' AND model = :model AND priority = level.priority LIMIT 1
) AS one
ORDER BY level.priority DESC
""")

TENANTS = text(f"""
WITH RECURSIVE line AS (
    (SELECT tenant FROM jobs WHERE {HERE} ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT tenant FROM jobs WHERE {HERE} AND tenant > line.tenant ORDER BY tenant LIMIT 1)
    FROM line WHERE line.tenant IS NOT NULL
)
SELECT line.tenant, tenants.served_at FROM line LEFT JOIN tenants ON tenants.name = line.tenant
WHERE line.tenant IS NOT NULL
""")

JOBS = text(f"""
SELECT job.id, asked.tenant, job.key_id, coalesce(api_keys.max_running, :key_max_running)
FROM unnest(CAST(:tenants AS text[])) AS asked(tenant)
CROSS JOIN LATERAL (
    WITH RECURSIVE line AS (
        (SELECT {KEY} AS key FROM jobs WHERE {HERE} AND tenant = asked.tenant ORDER BY {KEY} LIMIT 1)
        UNION ALL
        SELECT (SELECT {KEY} FROM jobs WHERE {HERE} AND tenant = asked.tenant AND {KEY} > line.key
                ORDER BY {KEY} LIMIT 1)
        FROM line WHERE line.key IS NOT NULL
    )
    SELECT key FROM line WHERE key IS NOT NULL AND key <> ALL (CAST(:full AS uuid[]))
) AS own
CROSS JOIN LATERAL (
    SELECT id, key_id, created_at FROM jobs
    WHERE {HERE} AND tenant = asked.tenant AND {KEY} = own.key AND crashes < {QUARANTINE_CRASHES}
        AND not_before <= now()
        AND (dispatched_at IS NULL OR dispatched_at <= now() - make_interval(secs => :redispatch_seconds))
    ORDER BY created_at, id LIMIT :slots
) AS job
LEFT JOIN api_keys ON api_keys.id = job.key_id
ORDER BY job.created_at, job.id
""")

FULL = text("""
SELECT busy.key_id FROM unnest(CAST(:keys AS uuid[]), CAST(:running AS int[])) AS busy(key_id, running)
LEFT JOIN api_keys ON api_keys.id = busy.key_id
WHERE coalesce(api_keys.max_running, :key_max_running) BETWEEN 1 AND busy.running
""")


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """The settings of a dispatch: when a message counts as lost, and how many jobs of a key may run at once.

    `key_max_running` is 0 for any number.
    """

    redispatch_seconds: float
    key_max_running: int


@dataclass(frozen=True, slots=True)
class RunningCounts:
    """Counts of jobs that run or are announced, by tenant and by key; and of announced ones by model."""

    of_tenant: Counter[str]
    of_key: Counter[uuid.UUID]
    announced: Counter[str]


def running_counts(session: Session, limits: DispatchLimits) -> RunningCounts:
    """Count everything in one snapshot, so that a job claimed at the same time is counted once."""
    found = RunningCounts(Counter(), Counter(), Counter())
    values = {"redispatch_seconds": limits.redispatch_seconds, "quarantine_crashes": QUARANTINE_CRASHES}
    for model, tenant, key_id, suspect, announced, number in session.execute(BUSY, values):
        found.of_tenant[tenant] += number
        if key_id is not None:
            found.of_key[key_id] += number
        if announced and not suspect:  # a suspect uses the slot of the worker reserved for it
            found.announced[model] += number
    return found


def full_keys(session: Session, of_key: Counter[uuid.UUID], limits: DispatchLimits) -> list[uuid.UUID]:
    """Return the keys that have as many running jobs as they may."""
    values = {"keys": list(of_key), "running": list(of_key.values()), "key_max_running": limits.key_max_running}
    return list(session.scalars(FULL, values))


def priorities(session: Session, model: str) -> Sequence[int]:
    """Return the priorities at which jobs of a model wait, highest first."""
    return session.scalars(PRIORITIES, {"model": model}).all()


def tenants(session: Session, model: str, priority: int, running: Counter[str]) -> list[str]:
    """Return the tenants with jobs of a priority, by the number of running jobs, then by when they were last served."""
    found = list(session.execute(TENANTS, {"model": model, "priority": priority}))
    # Tenants that were never served come first.
    found.sort(key=lambda row: (running[row[0]], row[1] is not None, row[1], row[0]))
    return [row[0] for row in found]


def next_jobs(
    session: Session,
    model: str,
    priority: int,
    asked: Collection[str],
    *,
    slots: int,
    full: Collection[uuid.UUID],
    limits: DispatchLimits,
) -> dict[str, list[QueuedJob]]:
    """Return the next due jobs of each of these tenants, oldest first, without those of full keys."""
    values = {
        "model": model,
        "priority": priority,
        "tenants": list(asked),
        "slots": slots,
        "full": list(full),
        "key_max_running": limits.key_max_running,
        "redispatch_seconds": limits.redispatch_seconds,
    }
    found: dict[str, list[QueuedJob]] = {tenant: [] for tenant in asked}
    for job_id, tenant, key_id, key_limit in session.execute(JOBS, values):
        found[tenant].append(QueuedJob(job_id, tenant, key_id, key_limit))
    return {tenant: line for tenant, line in found.items() if line}
