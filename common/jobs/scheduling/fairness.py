"""Whose turn it is among jobs of one priority: fair between tenants, within the limit of each key. Pure."""

from __future__ import annotations

import heapq
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that could be announced. The limits are how many jobs of its key, or tenant, run at once; 0: any number."""

    job_id: uuid.UUID
    tenant: str
    key_id: uuid.UUID | None
    key_limit: int
    tenant_limit: int = 0


def schedule_fairly(
    lines: Mapping[str, Sequence[QueuedJob]],
    slots: int,
    *,
    running: Counter[str],
    of_key: Counter[uuid.UUID],
) -> list[QueuedJob]:
    """The jobs that get the slots, in order: next is always the tenant that has the fewest jobs running.

    `lines` holds each tenant's jobs, oldest first, the tenant that was served longest ago before all others: among
    those that have equally many running, its turn is first. A job whose key is at its limit lets those behind it
    pass. `running`, by tenant, and `of_key` count what runs; what is taken is added to them.
    """
    left = {tenant: list(reversed(line)) for tenant, line in lines.items()}
    turns = [(running[tenant], place, tenant) for place, tenant in enumerate(lines)]
    heapq.heapify(turns)
    place = len(turns)
    taken: list[QueuedJob] = []
    while turns and len(taken) < slots:
        _, _, tenant = heapq.heappop(turns)
        job = _next(left[tenant], of_key)
        if job is None or (job.tenant_limit and running[tenant] >= job.tenant_limit):
            continue
        taken.append(job)
        running[tenant] += 1
        if job.key_id is not None:
            of_key[job.key_id] += 1
        place += 1
        heapq.heappush(turns, (running[tenant], place, tenant))
    return taken


def _next(line: list[QueuedJob], of_key: Counter[uuid.UUID]) -> QueuedJob | None:
    """Take the first job off a line, which is in reverse, whose key has room."""
    while line:
        job = line.pop()
        if not job.key_limit or job.key_id is None or of_key[job.key_id] < job.key_limit:
            return job
    return None
