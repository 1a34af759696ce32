"""Scheduling order among jobs of one priority: fair between tenants, within the limit of each key. Pure."""

from __future__ import annotations

import heapq
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that could be announced. The limits are the running jobs of its key and tenant; 0: unlimited."""

    job_id: uuid.UUID
    tenant: str
    key_id: uuid.UUID | None
    key_limit: int
    tenant_limit: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """The slots of a model that a tenant gets beside others, and how many each tenant holds.

    `exempt` is a tenant that has no others beside it.
    """

    slots: int
    held: Counter[str]
    exempt: str | None = None

    def reached(self, tenant: str) -> bool:
        """Whether a tenant holds as many slots as it gets."""
        return tenant != self.exempt and self.held[tenant] >= self.slots


def schedule_fairly(
    lines: Mapping[str, Sequence[QueuedJob]],
    slots: int,
    *,
    running: Counter[str],
    of_key: Counter[uuid.UUID],
    share: Share | None = None,
) -> list[QueuedJob]:
    """Return the jobs that get the slots, in order: next is always the tenant with the fewest running jobs.

    `lines` holds each tenant's jobs, oldest first; tenants are ordered by the time they were last served, which breaks
    ties. A job whose key is at its limit is skipped. `running`, by tenant, and `of_key` count running jobs and are
    updated. With `share`, a tenant that holds that many slots is skipped.
    """
    left = {tenant: list(reversed(line)) for tenant, line in lines.items()}
    turns = [(running[tenant], place, tenant) for place, tenant in enumerate(lines)]
    heapq.heapify(turns)
    place = len(turns)
    taken: list[QueuedJob] = []
    while turns and len(taken) < slots:
        _, _, tenant = heapq.heappop(turns)
        if share is not None and share.reached(tenant):
            continue
        job = _next(left[tenant], of_key)
        if job is None or (job.tenant_limit and running[tenant] >= job.tenant_limit):
            continue
        taken.append(job)
        running[tenant] += 1
        if share is not None:
            share.held[tenant] += 1
        if job.key_id is not None:
            of_key[job.key_id] += 1
        place += 1
        heapq.heappush(turns, (running[tenant], place, tenant))
    return taken


def _next(line: list[QueuedJob], of_key: Counter[uuid.UUID]) -> QueuedJob | None:
    """Pop the first job whose key has room from a queue, which is in reverse order."""
    while line:
        job = line.pop()
        if not job.key_limit or job.key_id is None or of_key[job.key_id] < job.key_limit:
            return job
    return None
