"""Follow a job until it ends, without holding a thread or a connection while waiting."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass

from api.http.threads import in_thread
from api.job_notifications import JobNotifications
from common import jobs
from common.db import Database
from common.errors import NotFound
from common.jobs import Job

# Notifications are hints: a waiting request also polls.
LOOK_AGAIN_SECONDS = 10.0


@dataclass
class Deadline:
    """The end of a wait on the monotonic clock; None: when the job ends. May be moved during the wait."""

    at: float | None = None

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return a deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    @property
    def left_seconds(self) -> float:
        """The time until the deadline."""
        return float("inf") if self.at is None else self.at - time.monotonic()


async def follow(
    changes: JobNotifications,
    database: Database,
    job_id: uuid.UUID,
    *,
    tenant: str,
    every_seconds: float = LOOK_AGAIN_SECONDS,
    deadline: Deadline | None = None,
) -> AsyncGenerator[Job | None]:
    """Yield the job now, after each possible change, and at least every `every_seconds`; None once it is deleted.

    Ends after a job that has ended or is gone, at the deadline, and when the service is about to shut down. Close it
    (`aclosing`) if the loop over it may be left early.
    """
    until = deadline or Deadline()
    with changes.of(job_id) as changed:
        while True:
            changed.clear()
            try:
                job = await in_thread(jobs.get, database, job_id, tenant=tenant)
            except NotFound:
                yield None
                return
            yield job
            left = until.left_seconds
            if job.terminal or left <= 0 or changes.closing:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left, every_seconds))


async def ended_or_later(
    changes: JobNotifications, database: Database, job_id: uuid.UUID, *, tenant: str, seconds: float
) -> None:
    """Return when the job has ended or was deleted, and after `seconds` at the latest."""
    steps = follow(changes, database, job_id, tenant=tenant, deadline=Deadline.after(seconds))
    async with aclosing(steps):
        async for _ in steps:
            pass
