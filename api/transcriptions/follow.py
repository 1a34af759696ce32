"""Waiting for a job without holding a thread or a connection."""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress

from starlette.concurrency import run_in_threadpool

from api.deps import Service
from common import jobs
from common.jobs import Job

# Notifications are hints: a waiting request also looks by itself.
LOOK_AGAIN_SECONDS = 10.0


async def ended_or_later(service: Service, tenant: str, job_id: uuid.UUID, seconds: float) -> Job:
    """The job as soon as it has ended, or as it is after `seconds`. No thread and no connection waits."""
    deadline = time.monotonic() + seconds
    with service.changes.of(job_id) as changed:
        while True:
            changed.clear()
            job = await run_in_threadpool(jobs.get, service.database, job_id, tenant=tenant)
            left = deadline - time.monotonic()
            if job.terminal or left <= 0 or service.changes.closing:
                return job
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left, LOOK_AGAIN_SECONDS))
