"""What nobody else cleans up: expired leases, old audio and results, objects without a job.

Safe to run in several processes at once: each change is one conditional UPDATE.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Integer, case, func, select, tuple_, update
from sqlalchemy.orm import Session

from common import renditions, uploads
from common.db import Database
from common.errors import Poison, WorkerLost
from common.job_states import TERMINAL, Outcome, Status
from common.jobs.lifecycle.control import audio_prefix
from common.jobs.lifecycle.finalize import ended
from common.jobs.lifecycle.outcomes import NO_LEASE
from common.jobs.scheduling.workers import seconds
from common.models import AttemptRow, JobRow, PartRow, SentenceRow
from common.storage import Storage

AT_A_TIME = 500
# Lost workers while the job ran alone, without a part in between.
POISON_LOSSES = 2
# An upload that is still streaming has no row yet; nothing of ours takes longer than this.
ORPHAN_AGE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Lost:
    """A job whose worker was silent for longer than its lease, and what became of it."""

    job_id: uuid.UUID
    worker: str
    status: Status


def take_back_leases(database: Database) -> list[Lost]:
    """End the attempts whose leases ran out: queued again, or canceled if that was asked for.

    Who loses workers in company of others never fails for it: it was an operator, or another's fault. Who loses two
    while it runs alone, without a part in between, is what kills them, and fails.
    """
    with database.transaction() as session:
        expired = [
            (job_id, token, worker or "")
            for job_id, token, worker in session.execute(
                select(JobRow.id, JobRow.lease_token, JobRow.lease_worker)
                .where(JobRow.status == Status.PROCESSING, JobRow.lease_expires_at < func.now())
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
        now = {row[0]: row[1] for row in changed}  # not dict(changed), which takes a Result for a mapping
        _end_attempts(session, tokens)
        ended(session, list(now))
        return [Lost(job_id, worker, Status(now[job_id])) for job_id, _, worker in expired]


def _lost_values() -> dict[str, Any]:
    alone = JobRow.alone.cast(Integer)
    poison = JobRow.losses_alone + alone >= POISON_LOSSES
    error = Poison(f"{POISON_LOSSES} workers died at the same part of this audio, with nothing else to do")
    return {
        **NO_LEASE,
        "status": case(
            (JobRow.cancel_requested, Status.CANCELED.value),
            (poison, Status.FAILED.value),
            else_=Status.QUEUED.value,
        ),
        "losses": JobRow.losses + 1,
        "losses_alone": JobRow.losses_alone + alone,
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


def expire_audio(database: Database, storage: Storage, *, after_seconds: float) -> int:
    """Delete the audio of jobs that ended so long ago; returns of how many."""
    with database.transaction() as session:
        due = session.scalars(
            select(JobRow.id)
            .where(
                JobRow.audio_key.is_not(None),
                JobRow.status.in_(TERMINAL),
                JobRow.finished_at < func.now() - seconds(after_seconds),
            )
            .limit(AT_A_TIME)
        ).all()
    forgotten = 0
    for job_id in due:
        if _forget_audio(database, job_id):  # else a retry came first, and needs the audio
            storage.delete_all(audio_prefix(job_id))
            forgotten += 1
    return forgotten


def _forget_audio(database: Database, job_id: uuid.UUID) -> bool:
    """Mark first: what a failing storage then leaves behind is an orphan, which the sweep finds too."""
    with database.transaction() as session:
        changed = session.scalar(
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.status.in_(TERMINAL), JobRow.audio_key.is_not(None))
            .values(audio_key=None, audio_deleted_at=func.now())
            .returning(JobRow.id)
        )
        return changed is not None


def expire_results(database: Database, *, after_seconds: float) -> int:
    """Delete the sentences and parts of jobs that ended so long ago; the job's row stays."""
    with database.transaction() as session:
        due = session.scalars(
            select(JobRow.id)
            .where(
                JobRow.result_deleted_at.is_(None),
                JobRow.status.in_(TERMINAL),
                JobRow.finished_at < func.now() - seconds(after_seconds),
            )
            .limit(AT_A_TIME)
            .with_for_update(skip_locked=True)
        ).all()
        for row in (SentenceRow, PartRow):
            session.execute(row.__table__.delete().where(row.job_id.in_(due)))  # type: ignore[attr-defined]
        session.execute(update(JobRow).where(JobRow.id.in_(due)).values(result_deleted_at=func.now()))
        return len(due)


def delete_orphans(database: Database, storage: Storage) -> int:
    """Delete audio that no job names: uploads that broke off, copies of fenced-off workers."""
    too_old = datetime.now(UTC) - ORPHAN_AGE
    deleted = storage.delete_unfinished(too_old, keep=lambda key: _is_growing(database, key))
    for key, changed_at in storage.keys("audio/"):
        if changed_at > too_old:
            continue
        job_id = _job_of(key)
        if job_id is None:
            continue
        with database.transaction() as session:
            named = session.scalar(select(JobRow.audio_key).where(JobRow.id == job_id))
        if named != key and not (uploads.is_live(database, job_id) or renditions.names(database, job_id, key)):
            storage.delete(key)
            deleted += 1
    return deleted


def _is_growing(database: Database, key: str) -> bool:
    job_id = _job_of(key)
    return job_id is not None and uploads.is_live(database, job_id)


def _job_of(key: str) -> uuid.UUID | None:
    """The job that a key belongs to; None for what somebody else put beside our audio."""
    try:
        job_id = uuid.UUID(hex=key.split("/")[1])
    except ValueError:
        return None
    return job_id if key.startswith(audio_prefix(job_id)) else None
