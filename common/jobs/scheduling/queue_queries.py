"""The line of queued jobs, read by index however long it is.

`jobs_waiting` orders them by model, priority, tenant, key and age. PostgreSQL reads the distinct tenants of a
priority, and the keys of a tenant, by jumping from one to the next (a "loose index scan"): what a dispatch costs
goes with the number of tenants that wait and of slots that are free, not with the number of jobs.
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
SELECT job.id, asked.tenant, job.key_id, coalesce(api_keys.max_running, 0),
       coalesce(tenants.max_running, :tenant_max_running)
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
LEFT JOIN tenants ON tenants.name = asked.tenant
ORDER BY job.created_at, job.id
""")

FULL = text("""
SELECT busy.key_id FROM unnest(CAST(:keys AS uuid[]), CAST(:running AS int[])) AS busy(key_id, running)
LEFT JOIN api_keys ON api_keys.id = busy.key_id
WHERE api_keys.max_running BETWEEN 1 AND busy.running
""")

FULL_TENANTS = text("""
SELECT busy.name FROM unnest(CAST(:tenants AS text[]), CAST(:running AS int[])) AS busy(name, running)
LEFT JOIN tenants ON tenants.name = busy.name
WHERE coalesce(tenants.max_running, :tenant_max_running) BETWEEN 1 AND busy.running
""")


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """The settings of a dispatch: when a message counts as lost, and how many jobs of a tenant run at once (0: any)."""

    redispatch_seconds: float
    tenant_max_running: int


@dataclass(frozen=True, slots=True)
class RunningCounts:
    """What runs, or is announced and about to: by tenant and by key; and the announced ones by model."""

    of_tenant: Counter[str]
    of_key: Counter[uuid.UUID]
    announced: Counter[str]


def running_counts(session: Session, limits: DispatchLimits) -> RunningCounts:
    """Everything at once, in one snapshot: a job that is claimed meanwhile counts once."""
    found = RunningCounts(Counter(), Counter(), Counter())
    values = {"redispatch_seconds": limits.redispatch_seconds, "quarantine_crashes": QUARANTINE_CRASHES}
    for model, tenant, key_id, suspect, announced, number in session.execute(BUSY, values):
        found.of_tenant[tenant] += number
        if key_id is not None:
            found.of_key[key_id] += number
        if announced and not suspect:  # a suspect's slot is that of the worker which is reserved for it
            found.announced[model] += number
    return found


def full_keys(session: Session, of_key: Counter[uuid.UUID]) -> list[uuid.UUID]:
    """The keys that have as many jobs running as they may."""
    return list(session.scalars(FULL, {"keys": list(of_key), "running": list(of_key.values())}))


def full_tenants(session: Session, of_tenant: Counter[str], limits: DispatchLimits) -> set[str]:
    """The tenants that have as many jobs running as they may."""
    values = {"tenants": list(of_tenant), "running": list(of_tenant.values())}
    return set(session.scalars(FULL_TENANTS, values | {"tenant_max_running": limits.tenant_max_running}))


def priorities(session: Session, model: str) -> Sequence[int]:
    """Those at which jobs of a model wait, highest first."""
    return session.scalars(PRIORITIES, {"model": model}).all()


def tenants(session: Session, model: str, priority: int, running: Counter[str]) -> list[str]:
    """Those with jobs of a priority; first who has the fewest running, then who was served longest ago."""
    found = list(session.execute(TENANTS, {"model": model, "priority": priority}))
    # Who was never served comes before all who were.
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
    """The next jobs of each of these tenants that are due, oldest first, without those of full keys."""
    values = {
        "model": model,
        "priority": priority,
        "tenants": list(asked),
        "slots": slots,
        "full": list(full),
        "tenant_max_running": limits.tenant_max_running,
        "redispatch_seconds": limits.redispatch_seconds,
    }
    found: dict[str, list[QueuedJob]] = {tenant: [] for tenant in asked}
    for job_id, tenant, key_id, key_limit, tenant_limit in session.execute(JOBS, values):
        found[tenant].append(QueuedJob(job_id, tenant, key_id, key_limit, tenant_limit))
    return {tenant: line for tenant, line in found.items() if line}
