"""Recovery of jobs whose worker stopped renewing their leases.

Safe to run in several processes at once: each change is one conditional UPDATE.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, case, func, select, tuple_, update
from sqlalchemy.orm import Session

from common.db import Database
from common.db.leases import is_over
from common.errors import Poison, WorkerLost
from common.job_states import Outcome, Status
from common.jobs.lifecycle.finalize import ended
from common.jobs.lifecycle.outcomes import NO_LEASE
from common.models import AttemptRow, JobRow

AT_A_TIME = 500
# Workers lost while the job ran alone, without a part committed in between.
POISON_CRASHES = 2


@dataclass(frozen=True, slots=True)
class RescuedJob:
    """A job whose worker did not renew its lease in time, and its new state."""

    job_id: uuid.UUID
    worker: str
    status: Status


def rescue_expired(database: Database) -> list[RescuedJob]:
    """End the attempts whose leases expired: the jobs are queued again, or canceled if that was requested.

    A job that loses workers while other jobs run on them never fails because of that: the cause was an operator or
    another job. A job that loses two workers while it runs alone, without a part in between, is the cause, and fails.
    """
    with database.transaction() as session:
        expired = [
            (job_id, token, worker or "")
            for job_id, token, worker in session.execute(
                select(JobRow.id, JobRow.lease_token, JobRow.lease_worker)
                .where(JobRow.status == Status.PROCESSING, is_over(JobRow.lease_expires_at))
                .order_by(JobRow.lease_expires_at)
                .limit(AT_A_TIME)
                .with_for_update(skip_locked=True)
            )
            if token is not None
        ]
        if not expired:
            return []
        tokens = [(job_id, token) for job_id, token, _ in expired]
        changed = session.execute(
            update(JobRow)
            .where(tuple_(JobRow.id, JobRow.lease_token).in_(tokens))
            .values(**_lost_values())
            .returning(JobRow.id, JobRow.status)
        )
        now = {row[0]: row[1] for row in changed}  # not dict(changed), which treats a Result as a mapping
        _end_attempts(session, tokens)
        ended(session, list(now))
        return [RescuedJob(job_id, worker, Status(now[job_id])) for job_id, _, worker in expired]


def _lost_values() -> dict[str, Any]:
    isolated = JobRow.isolated.cast(Integer)
    poison = JobRow.isolated_crashes + isolated >= POISON_CRASHES
    error = Poison(f"{POISON_CRASHES} workers died at the same part of this audio, with nothing else to do")
    return {
        **NO_LEASE,
        "status": case(
            (JobRow.cancel_requested, Status.CANCELED.value),
            (poison, Status.FAILED.value),
            else_=Status.QUEUED.value,
        ),
        # Downloading a link kills no worker.
        "crashes": JobRow.crashes + case((JobRow.audio_key.is_(None), 0), else_=1),
        "isolated_crashes": JobRow.isolated_crashes + isolated,
        "dispatched_at": None,
        "finished_at": case((JobRow.cancel_requested | poison, func.now())),
        "error_code": case((~JobRow.cancel_requested & poison, error.code)),
        "error_message": case((~JobRow.cancel_requested & poison, error.message)),
        "error_retryable": case((~JobRow.cancel_requested & poison, error.retryable)),
    }


def _end_attempts(session: Session, tokens: list[tuple[uuid.UUID, uuid.UUID]]) -> None:
    session.execute(
        update(AttemptRow)
        .where(tuple_(AttemptRow.job_id, AttemptRow.token).in_(tokens))
        .values(ended_at=func.now(), outcome=Outcome.LOST, error_code=WorkerLost.code)
    )
