"""Claims of jobs whose links have to be downloaded: they take no slot, and a tenant gets its share of downloads.

A tenant with many links would otherwise have all of them downloaded long before their turn: that takes a worker's
processor and disk from the jobs of others, and fills the storage. So downloads slow down once enough of the tenant's
jobs wait for a slot. They do not stop: links with a signature expire.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from common.db import Database
from common.jobs.lifecycle.claims import Claim, Holder, claim_in, claiming
from common.jobs.scheduling.fairness import QueuedJob, schedule_fairly
from common.jobs.scheduling.quarantine import of_worker
from common.jobs.scheduling.queue_queries import (
    TO_FETCH,
    DispatchLimits,
    in_turn,
    next_jobs,
    priorities,
    stocked,
    tenants,
)
from common.jobs.scheduling.selection import TENANTS_AT_A_TIME
from common.models import JobRow, WorkerRow

# An arbitrary number, distinct from the other advisory locks; the second half of this lock's key is the model.
FETCH_LOCK = 0x7061_7264
LOCK_TIMEOUT_MS = 2_000
TAKE_LOCK = text(
    f"SELECT set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', true), "
    f"pg_advisory_xact_lock({FETCH_LOCK}, hashtext(:model))"
)
# Links are not announced, and the limits of running jobs are limits of slots.
NO_LIMITS = DispatchLimits(redispatch_seconds=0, tenant_max_running=0)
DRAINS = select(WorkerRow.id).where(WorkerRow.id == of_worker(), WorkerRow.drain.is_not(None))
CLAIM_TO_FETCH = claiming(JobRow.audio_key.is_(None) & ~DRAINS.exists())


@dataclass(frozen=True, slots=True)
class DownloadLimits:
    """How many downloads of a tenant a worker runs at the same time.

    `ahead` instead of `tenant`, once `stock` of its jobs of the same priority wait for a slot.
    """

    tenant: int
    stock: int
    ahead: int


def claim_links(
    database: Database, holder: Holder, number: int, *, downloading: Counter[str], limits: DownloadLimits
) -> list[Claim]:
    """Claim up to `number` jobs whose links are not in storage yet; none for a worker that is to take no jobs.

    The highest priority comes first, and within one the tenant with the fewest downloads on this worker
    (`downloading`), which never exceed its limit. Raises Unavailable; claims that were committed all the same are
    given up when their leases expire.
    """
    with database.transaction() as session:
        if not priorities(session, holder.model, TO_FETCH):
            return []  # Idle workers ask every second, and need not wait for one another.
        # One worker chooses at a time: otherwise all of them would choose the same jobs.
        session.execute(TAKE_LOCK, {"model": holder.model})
        chosen = _chosen(session, holder.model, number, Counter(downloading), limits)
        claims = [claim_in(session, job.job_id, CLAIM_TO_FETCH, holder) for job in chosen]
        return [claim for claim in claims if claim is not None]


def _chosen(session: Session, model: str, number: int, busy: Counter[str], limits: DownloadLimits) -> list[QueuedJob]:
    taken: list[QueuedJob] = []
    for priority in priorities(session, model, TO_FETCH):
        left = number - len(taken)
        if left <= 0:
            break
        waiting = in_turn(tenants(session, model, priority, TO_FETCH), busy)
        listed = [name for name in waiting if busy[name] < limits.tenant]
        read: dict[str, list[QueuedJob]] = {}
        # Not only the first ones: all links of a tenant may be waiting for their next attempt.
        while listed and len(read) < left:
            page, listed = listed[:TENANTS_AT_A_TIME], listed[TENANTS_AT_A_TIME:]
            most = _most(session, model, priority, page, limits)
            page = [name for name in page if busy[name] < most[name]]
            queued = next_jobs(session, model, priority, page, slots=left, full=(), limits=NO_LIMITS, line=TO_FETCH)
            for name, line in queued.items():
                read[name] = [replace(job, key_limit=0, tenant_limit=most[name]) for job in line]
        taken += schedule_fairly(read, left, running=busy, of_key=Counter())
    return taken


def _most(session: Session, model: str, priority: int, page: list[str], limits: DownloadLimits) -> dict[str, int]:
    """How many downloads each of the tenants may have."""
    ahead = stocked(session, model, priority, page, limits.stock)
    return {name: limits.ahead if name in ahead else limits.tenant for name in page}
