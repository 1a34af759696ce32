"""Fair scheduling of jobs of one priority: between tenants, and within the limit of each key. Pure."""

from __future__ import annotations

import heapq
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """A job that could be announced; `key_limit` is how many jobs of its key may run at once, 0: unlimited."""

    job_id: uuid.UUID
    tenant: str
    key_id: uuid.UUID | None
    key_limit: int


def schedule_fairly(
    lines: Mapping[str, Sequence[QueuedJob]],
    slots: int,
    *,
    running: Counter[str],
    of_key: Counter[uuid.UUID],
) -> list[QueuedJob]:
    """Return the jobs that get the slots, in order: the tenant with the fewest running jobs is always next.

    `lines` holds each tenant's jobs, oldest first. Tenants are ordered by when they were last served, the longest ago
    first, which decides between tenants with equally many running jobs. A job whose key is at its limit is skipped in
    favor of those behind it. `running` (by tenant) and `of_key` count the running jobs; chosen jobs are added to them.
    """
    left = {tenant: list(reversed(line)) for tenant, line in lines.items()}
    turns = [(running[tenant], place, tenant) for place, tenant in enumerate(lines)]
    heapq.heapify(turns)
    place = len(turns)
    taken: list[QueuedJob] = []
    while turns and len(taken) < slots:
        _, _, tenant = heapq.heappop(turns)
        job = _next(left[tenant], of_key)
        if job is None:
            continue
        taken.append(job)
        running[tenant] += 1
        if job.key_id is not None:
            of_key[job.key_id] += 1
        place += 1
        heapq.heappush(turns, (running[tenant], place, tenant))
    return taken


def _next(line: list[QueuedJob], of_key: Counter[uuid.UUID]) -> QueuedJob | None:
    """Remove and return the first job whose key has room; `line` is in reverse order."""
    while line:
        job = line.pop()
        if not job.key_limit or job.key_id is None or of_key[job.key_id] < job.key_limit:
            return job
    return None
