"""Reads jobs; nothing here changes a row."""

from __future__ import annotations

import uuid
from typing import cast

from sqlalchemy import Table, bindparam, select

from common import ids
from common.db import Database, Prepared
from common.errors import Expired, NoTranscript, NotReady
from common.job_states import Status
from common.jobs.job import ATTEMPT_COLUMNS, JOBS, SHOWN, Attempt, Job, attempt_of, job_shown
from common.models import AttemptRow

TRIES = cast(Table, AttemptRow.__table__)
ONE = Prepared(select(*SHOWN).where(JOBS.c.id == bindparam("id")))
TENANT = SHOWN.index(JOBS.c.tenant)
ATTEMPTS = Prepared(
    select(*(TRIES.c[name] for name in ATTEMPT_COLUMNS))
    .where(TRIES.c.job_id == bindparam("id"))
    .order_by(TRIES.c.started_at)
)


def get(database: Database, job_id: uuid.UUID, *, tenant: str | None = None) -> Job:
    """Return one job in any state. Raises NotFound, also for a job of a tenant other than the given one."""
    rows = database.run(ONE, {"id": job_id})
    if not rows or tenant not in (None, rows[0][TENANT]):
        raise ids.missing(ids.JOB, job_id)
    return job_shown(rows[0])


def get_with_attempts(database: Database, job_id: uuid.UUID, *, tenant: str | None = None) -> tuple[Job, list[Attempt]]:
    """Return one job and all its attempts, oldest first. Raises NotFound like `get`."""
    job = get(database, job_id, tenant=tenant)
    untried = job.run == 1 and not job.attempts
    return job, [] if untried else attempts(database, job_id)


def attempts(database: Database, job_id: uuid.UUID) -> list[Attempt]:
    """Return all attempts of a job, oldest first."""
    return [attempt_of(row) for row in database.run(ATTEMPTS, {"id": job_id})]


def readable(job: Job, *, partial: bool) -> Job:
    """Return the job if its transcript may be read. Raises Expired, NotReady; NoTranscript if there will be none."""
    if job.result_deleted_at is not None:
        raise Expired("the transcript was deleted at the end of its retention period")
    if job.status in (Status.FAILED, Status.CANCELED) and not partial:
        raise NoTranscript(f"the job {_ended_as(job)}; add partial=true for what was transcribed before that")
    if job.status is not Status.COMPLETED and not partial:
        raise NotReady(f"the job is {job.status}; use partial=true for the text so far")
    return job


def _ended_as(job: Job) -> str:
    if job.status is Status.CANCELED:
        return "was canceled"
    return f"failed ({job.failure.code})" if job.failure else "failed"


def check_kept(database: Database, job: Job) -> None:
    """Raise NotFound, Expired or NotReady if the sentences of the job's run were deleted since the job was read."""
    if readable(get(database, job.id), partial=True).run != job.run:
        raise NotReady("the job was retried while its transcript was read")
