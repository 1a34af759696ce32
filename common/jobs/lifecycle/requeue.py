"""The operator's command for a job that is stuck."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import func, select, update

from common import ids
from common.db import Database
from common.errors import WrongState
from common.job_states import Outcome, Status
from common.jobs.job import Job, job_of
from common.jobs.lifecycle.control import retry
from common.jobs.lifecycle.finalize import ended
from common.jobs.lifecycle.outcomes import waiting
from common.models import AttemptRow, JobRow

BY_OPERATOR = "an operator queued the job again"


@dataclass(frozen=True, slots=True)
class Requeued:
    """A job that was queued again, and its previous state."""

    job: Job
    before: Status
    worker: str | None


def requeue(database: Database, job_id: uuid.UUID) -> Requeued:
    """Make a job run as soon as there is a free slot, regardless of its delay or quarantine.

    A waiting job is announced again at once and is no longer a suspect. A processing job is taken from its worker,
    which stops when it finds its lease lost; the next worker continues after the last part. A failed or canceled job
    starts a new run. Raises NotFound; WrongState for a completed job; Expired if an upload's audio was already deleted.
    """
    with database.transaction() as session:
        row = session.get(JobRow, job_id, with_for_update=True)
        if row is None:
            raise ids.missing(ids.JOB, job_id)
        before, worker, token = Status(row.status), row.lease_worker, row.lease_token
        if before is Status.COMPLETED:
            raise WrongState("the job is completed and cannot be requeued")
        if before in {Status.QUEUED, Status.PROCESSING}:
            counters = dict.fromkeys(("failures", "outages", "crashes", "isolated_crashes"), 0)
            anew = {"not_before": func.now(), "dispatched_at": None} | counters
            values = anew | (waiting() if before is Status.PROCESSING else {})
            session.execute(update(JobRow).where(JobRow.id == job_id).values(**values))
            session.execute(
                update(AttemptRow)
                .where(AttemptRow.job_id == job_id, AttemptRow.token == token)
                .values(ended_at=func.now(), outcome=Outcome.RELEASED, error_message=BY_OPERATOR)
            )
            ended(session, [job_id])
            again = select(JobRow).where(JobRow.id == job_id).execution_options(populate_existing=True)
            return Requeued(job_of(session.scalars(again).one()), before, worker)
    return Requeued(retry(database, job_id), before, None)
