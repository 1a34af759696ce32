"""Reads the queues of waiting jobs by index, whatever their length.

`jobs_waiting` orders the jobs whose audio is in storage, which wait for a slot, and `jobs_to_fetch` those whose link
has not been downloaded yet: each by model, priority, tenant, key and age. PostgreSQL reads the distinct tenants of a
priority, and the keys of a tenant, by jumping from one to the next (a "loose index scan"): the cost of a dispatch
depends on the number of waiting tenants and free slots, not on the number of jobs.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from common.db import Database, Prepared
from common.jobs.scheduling.fairness import QueuedJob
from common.jobs.scheduling.workers import ALIVE_SQL
from common.models import NO_KEY, QUARANTINE_CRASHES

# A tenant with short recordings sends the next one seconds after the last.
PRESENT_SECONDS = 30.0

KEY = f"coalesce(key_id, '{NO_KEY}'::uuid)"

# A processing job without audio is being fetched: it takes no slot.
BUSY = text("""
SELECT model, tenant, key_id, suspect, announced, count(*) FROM (
    SELECT model, tenant, key_id, false AS suspect, false AS announced FROM jobs
    WHERE status = 'processing' AND audio_key IS NOT NULL
    UNION ALL
    SELECT model, tenant, key_id, crashes >= :quarantine_crashes, true FROM jobs
    WHERE status = 'queued' AND dispatched_at > now() - make_interval(secs => :redispatch_seconds)
) AS busy GROUP BY model, tenant, key_id, suspect, announced
""")


@dataclass(frozen=True, slots=True)
class Line:
    """The statements that read one queue."""

    priorities: TextClause
    tenants: TextClause
    jobs: TextClause


def _line(of_line: str, *, age: str, passed_over: str = "") -> Line:
    """The line of the jobs with this condition; `age` is the column by which its index orders the jobs of a key."""
    here = f"status = 'queued' AND {of_line} AND model = :model AND priority = :priority"
    return Line(
        text(f"""
SELECT level.priority FROM generate_series(9, 0, -1) AS level(priority)
CROSS JOIN LATERAL (
    SELECT FROM jobs WHERE status = 'queued' AND {of_line} AND model = :model AND priority = level.priority LIMIT 1
) AS one
ORDER BY level.priority DESC
"""),
        text(f"""
WITH RECURSIVE line AS (
    (SELECT tenant FROM jobs WHERE {here} ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT tenant FROM jobs WHERE {here} AND tenant > line.tenant ORDER BY tenant LIMIT 1)
    FROM line WHERE line.tenant IS NOT NULL
)
SELECT line.tenant, tenants.served_at FROM line LEFT JOIN tenants ON tenants.name = line.tenant
WHERE line.tenant IS NOT NULL
"""),
        text(f"""
SELECT job.id, listed.tenant, job.key_id, coalesce(api_keys.max_running, 0),
       coalesce(tenants.max_running, :tenant_max_running)
FROM unnest(CAST(:tenants AS text[])) AS listed(tenant)
CROSS JOIN LATERAL (
    WITH RECURSIVE line AS (
        (SELECT {KEY} AS key FROM jobs WHERE {here} AND tenant = listed.tenant ORDER BY {KEY} LIMIT 1)
        UNION ALL
        SELECT (SELECT {KEY} FROM jobs WHERE {here} AND tenant = listed.tenant AND {KEY} > line.key
                ORDER BY {KEY} LIMIT 1)
        FROM line WHERE line.key IS NOT NULL
    )
    SELECT key FROM line WHERE key IS NOT NULL AND key <> ALL (CAST(:full AS uuid[]))
) AS own
CROSS JOIN LATERAL (
    SELECT id, key_id, {age} AS age FROM jobs
    WHERE {here} AND tenant = listed.tenant AND {KEY} = own.key
        AND not_before <= statement_timestamp() {passed_over}
        AND (dispatched_at IS NULL OR dispatched_at <= now() - make_interval(secs => :redispatch_seconds))
    ORDER BY {age}, id LIMIT :slots
) AS job
LEFT JOIN api_keys ON api_keys.id = job.key_id
LEFT JOIN tenants ON tenants.name = listed.tenant
ORDER BY job.age, job.id
"""),
    )


READY = _line("audio_key IS NOT NULL", age="created_at", passed_over=f"AND crashes < {QUARANTINE_CRASHES}")
# Ordered by the time at which a job became due: a link whose download failed goes to the back.
TO_FETCH = _line("audio_key IS NULL", age="not_before")

# Only jobs that a slot may take now: those that wait for their next attempt are no reason to leave slots idle.
STOCKED = text(f"""
SELECT listed.tenant FROM unnest(CAST(:tenants AS text[])) AS listed(tenant)
WHERE (
    SELECT count(*) FROM (
        SELECT FROM jobs WHERE status = 'queued' AND audio_key IS NOT NULL
            AND model = :model AND priority = :priority AND tenant = listed.tenant
            AND not_before <= statement_timestamp() AND crashes < {QUARANTINE_CRASHES}
        LIMIT :stock
    ) AS waiting
) >= :stock
""")

# In the order of `jobs_waiting`, so that PostgreSQL reads its beginning and no table.
ANY_WAITING = """
SELECT EXISTS (
    SELECT FROM jobs WHERE status = 'queued' AND audio_key IS NOT NULL
        AND (dispatched_at IS NULL OR dispatched_at <= now() - make_interval(secs => :redispatch_seconds))
    ORDER BY model LIMIT 1
) OR EXISTS (SELECT FROM workers WHERE reserved_for IS NOT NULL)
"""

LIMITS = text("""
SELECT id, NULL, max_running FROM api_keys WHERE id = ANY (CAST(:keys AS uuid[]))
UNION ALL
SELECT NULL, name, max_running FROM tenants WHERE name = ANY (CAST(:tenants AS text[]))
""")

# Tenants that were served within the last seconds and whose newest job is one of the model.
PRESENT = text("""
SELECT name FROM tenants
WHERE served_at > clock_timestamp() - make_interval(secs => :present_seconds) AND :model = (
    SELECT model FROM jobs WHERE tenant = tenants.name ORDER BY created_at DESC LIMIT 1
)
LIMIT 2
""")

MODELS_WITH_LINKS = Prepared(
    text(f"""
SELECT DISTINCT workers.model FROM workers
WHERE NOT draining AND {ALIVE_SQL} AND EXISTS (
    SELECT FROM jobs WHERE status = 'queued' AND audio_key IS NULL AND jobs.model = workers.model
    AND not_before <= now()
)
""")
)


@dataclass(frozen=True, slots=True)
class DispatchLimits:
    """The settings of a dispatch.

    The time after which a message counts as lost, the running jobs of a tenant (0: unlimited), and the largest part of
    a model's slots that a tenant gets while others wait.
    """

    redispatch_seconds: float
    tenant_max_running: int
    tenant_slot_share: float = 1.0


class WaitingTenant(NamedTuple):
    """A tenant with waiting jobs, and when one of its jobs was announced last."""

    name: str
    served_at: datetime | None


@dataclass(frozen=True, slots=True)
class RunningCounts:
    """Counts of running and announced jobs: by tenant, by model and tenant, by key; and announced ones by model.

    `most_of_key` and `most_of_tenant`: the limits of the keys and tenants that were asked about so far.
    """

    of_tenant: Counter[str]
    of_model: defaultdict[str, Counter[str]]
    of_key: Counter[uuid.UUID]
    announced: Counter[str]
    most_of_key: dict[uuid.UUID, int | None] = field(default_factory=dict)
    most_of_tenant: dict[str, int | None] = field(default_factory=dict)


def running_counts(session: Session, limits: DispatchLimits) -> RunningCounts:
    """Count everything in one snapshot, so that a job that is claimed concurrently counts once."""
    counts = RunningCounts(Counter(), defaultdict(Counter), Counter(), Counter())
    values = {"redispatch_seconds": limits.redispatch_seconds, "quarantine_crashes": QUARANTINE_CRASHES}
    for model, tenant, key_id, suspect, announced, number in session.execute(BUSY, values):
        counts.of_tenant[tenant] += number
        counts.of_model[model][tenant] += number
        if key_id is not None:
            counts.of_key[key_id] += number
        if announced and not suspect:  # a suspect's slot is that of the worker reserved for it
            counts.announced[model] += number
    return counts


def full_keys(session: Session, counts: RunningCounts) -> set[uuid.UUID]:
    """Return the keys at their limit of running jobs."""
    _read_limits(session, counts)
    most = counts.most_of_key
    return {key for key, running in counts.of_key.items() if 1 <= (most[key] or 0) <= running}


def full_tenants(session: Session, counts: RunningCounts, limits: DispatchLimits) -> set[str]:
    """Return the tenants at their limit of running jobs."""
    _read_limits(session, counts)
    own, otherwise = counts.most_of_tenant, limits.tenant_max_running
    most = {name: otherwise if own[name] is None else own[name] or 0 for name in counts.of_tenant}
    return {name for name, running in counts.of_tenant.items() if 1 <= most[name] <= running}


def _read_limits(session: Session, counts: RunningCounts) -> None:
    """Read the limits of those keys and tenants that are not known yet."""
    keys = counts.of_key.keys() - counts.most_of_key.keys()
    names = counts.of_tenant.keys() - counts.most_of_tenant.keys()
    if not keys and not names:
        return
    counts.most_of_key.update(dict.fromkeys(keys))
    counts.most_of_tenant.update(dict.fromkeys(names))
    for key, name, most in session.execute(LIMITS, {"keys": list(keys), "tenants": list(names)}):
        if key is not None:
            counts.most_of_key[key] = most
        else:
            counts.most_of_tenant[name] = most


def priorities(session: Session, model: str, line: Line = READY) -> Sequence[int]:
    """Return the priorities of a model's waiting jobs, highest first."""
    return session.scalars(line.priorities, {"model": model}).all()


def tenants(session: Session, model: str, priority: int, line: Line = READY) -> Sequence[WaitingTenant]:
    """Return the tenants with jobs of a priority, in no particular order."""
    return [WaitingTenant(*row) for row in session.execute(line.tenants, {"model": model, "priority": priority})]


def in_turn(waiting: Sequence[WaitingTenant], running: Counter[str]) -> list[str]:
    """Return the tenants in order: fewest running jobs first, then served longest ago, or never."""
    order = sorted(
        waiting, key=lambda each: (running[each.name], each.served_at is not None, each.served_at, each.name)
    )
    return [each.name for each in order]


def present_tenants(session: Session, model: str) -> list[str]:
    """Return tenants whose jobs of this model were served within the last seconds; at most two."""
    return list(session.scalars(PRESENT, {"model": model, "present_seconds": PRESENT_SECONDS}))


def next_jobs(
    session: Session,
    model: str,
    priority: int,
    listed: Collection[str],
    *,
    slots: int,
    full: Collection[uuid.UUID],
    limits: DispatchLimits,
    line: Line = READY,
) -> dict[str, list[QueuedJob]]:
    """Return the next due jobs of each of these tenants, oldest first, without those of keys at their limit."""
    values = {
        "model": model,
        "priority": priority,
        "tenants": list(listed),
        "slots": slots,
        "full": list(full),
        "tenant_max_running": limits.tenant_max_running,
        "redispatch_seconds": limits.redispatch_seconds,
    }
    queues: dict[str, list[QueuedJob]] = {tenant: [] for tenant in listed}
    for job_id, tenant, key_id, key_limit, tenant_limit in session.execute(line.jobs, values):
        queues[tenant].append(QueuedJob(job_id, tenant, key_id, key_limit, tenant_limit))
    return {tenant: queued for tenant, queued in queues.items() if queued}


def stocked(session: Session, model: str, priority: int, listed: Collection[str], stock: int) -> set[str]:
    """Return those of the tenants that have at least `stock` due jobs of this priority waiting for a slot."""
    values = {"model": model, "priority": priority, "tenants": list(listed), "stock": stock}
    return set(session.scalars(STOCKED, values))


def models_with_links(database: Database) -> Sequence[str]:
    """Return the models for which links wait to be downloaded and workers live: nobody else would read a message."""
    return [model for [model] in database.run(MODELS_WITH_LINKS, {})]
