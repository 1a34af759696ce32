"""Claiming a queued job: one conditional UPDATE that only one worker can win, and the attempt that begins with it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Interval, Row, Select, Uuid, bindparam, func, insert, select, update
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.job_states import Stage, Status
from common.jobs.job import Job, job_of
from common.jobs.scheduling.dispatch import next_job
from common.jobs.scheduling.quarantine import has_room, of_worker
from common.jobs.scheduling.queue_queries import DispatchLimits
from common.models import QUARANTINE_CRASHES, AttemptRow, JobRow, JobWordsRow, PartRow
from common.options.transcription import WordLists
from common.telemetry import get_logger
from common.transcript.text_rules import TextRules
from common.transcript.values import Part

log = get_logger(__name__)
# An arbitrary number, distinct from the other advisory locks; the second half of this lock's key is the worker.
CLAIM_LOCK = 0x7061_7263


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job until the lease expires.

    `failures` and `outages` count the attempts that ended in an error since the last part was committed; `resume` is
    that part without its sentences; `sentences` counts those committed so far; `spent_ms` is the time that earlier
    attempts of this run spent on transcribing; `isolated`: the worker runs nothing else until the next part is
    committed. `words`: all words that apply to a job with a vocabulary. `request_id` and `traceparent` are those of the
    API call that requested this run.
    """

    job: Job
    token: uuid.UUID
    attempt: int
    failures: int
    outages: int
    resume: Part | None
    sentences: int
    spent_ms: int
    isolated: bool = False
    words: WordLists | None = None
    request_id: str | None = None
    traceparent: str | None = None

    @property
    def text_rules(self) -> TextRules:
        """What is done to the recognised text."""
        rules, words = self.job.options.text_rules, self.words
        return replace(rules, hotwords=words.hotwords, masked_words=words.masked_words) if words else rules


@dataclass(frozen=True, slots=True)
class Holder:
    """Who claims: a worker process, the model that it serves, and how long its leases last."""

    worker: str
    model: str
    lease_seconds: float


def claim(
    database: Database,
    job_id: uuid.UUID,
    *,
    worker: str,
    model: str,
    lease_seconds: float,
    token: uuid.UUID | None = None,
) -> Claim | None:
    """Claim a queued job; None if it is missing, not queued, not due, not fetched yet, canceled or for another model.

    Also None if the worker has no room for it: a job suspected of killing workers runs alone. Such a job may be
    announced again at once. Raises Unavailable; a caller that passed `token` can then undo a claim that may have been
    committed (`abandon_claim`).
    """
    with database.transaction() as session:
        _take_turn(session, worker)
        held = _claim_for_slot(session, job_id, Holder(worker, model, lease_seconds), token)
        if held is None:
            _let_go(session, job_id, model)
        return held


@dataclass(frozen=True, slots=True)
class NextClaim:
    """The claim of the job that was next, if there was one; `more`: a dispatch may find jobs for free slots."""

    claim: Claim | None
    more: bool


def claim_next(database: Database, holder: Holder, limits: DispatchLimits, *, token: uuid.UUID) -> NextClaim:
    """Claim the queued job that comes next, for a slot that has just become free.

    The choice is that of dispatch (`next_job`). Raises Unavailable; the caller then undoes a claim that may have been
    committed (`abandon_claim`).
    """
    with database.transaction() as session:
        _take_turn(session, holder.worker)  # first: nobody waits for it with the lock of dispatchers, or of a job
        following = next_job(session, holder.worker, holder.model, limits)
        if following.job_id is None:
            return NextClaim(None, following.more)
        held = _claim_for_slot(session, following.job_id, holder, token)
        return NextClaim(held, following.more or held is None)


def _take_turn(session: Session, worker: str) -> None:
    """Wait until no other claim of this worker is in progress: two at once could each find the worker idle."""
    session.execute(select(func.pg_advisory_xact_lock(CLAIM_LOCK, func.hashtext(worker))))


def _claim_for_slot(session: Session, job_id: uuid.UUID, holder: Holder, token: uuid.UUID | None) -> Claim | None:
    return claim_in(session, job_id, CLAIM_FOR_SLOT, holder, token)


def claiming(fits: ColumnElement[bool]) -> Select[Any]:
    """Build the statement that claims a queued job that is due and `fits`, and begins its attempt, for `claim_in`.

    Once for each kind of claim: it takes longer to build than to run. `fits` may use `of_worker()`.
    """
    claimed = (
        update(JobRow)
        .where(
            JobRow.id == bindparam("claimed_job", type_=Uuid),
            JobRow.status == Status.QUEUED,
            JobRow.model == bindparam("of_model"),
            JobRow.not_before <= func.now(),
            JobRow.cancel_requested.is_(False),
            fits,
        )
        .values(
            status=Status.PROCESSING,
            isolated=JobRow.audio_key.is_not(None) & (JobRow.crashes >= QUARANTINE_CRASHES),
            stage=Stage.FETCHING,
            attempts=JobRow.attempts + 1,
            started_at=func.coalesce(JobRow.started_at, func.now()),
            dispatched_at=None,
            lease_token=bindparam("new_token", type_=Uuid),
            lease_worker=of_worker(),
            lease_expires_at=func.now() + bindparam("lease", type_=Interval),
        )
        .returning(JobRow)
        .cte("claimed")
    )
    job = claimed.c
    committed = select(func.max(PartRow.end_ms)).where(PartRow.job_id == job.id, PartRow.run == job.run)
    begun = insert(AttemptRow).from_select(
        ["job_id", "token", "run", "number", "worker", "isolated", "resumed_ms"],
        select(
            *(job.id, job.lease_token, job.run, job.attempts, job.lease_worker, job.isolated),
            func.coalesce(committed.scalar_subquery(), 0),
        ),
        include_defaults=False,
    )
    return select(claimed).add_cte(begun.cte("begun"))


def claim_in(
    session: Session, job_id: uuid.UUID, statement: Select[Any], holder: Holder, token: uuid.UUID | None = None
) -> Claim | None:
    """Claim a job within the caller's transaction by a statement of `claiming`; None if it cannot be claimed."""
    token = token or uuid.uuid4()
    given = {
        "claimed_job": job_id,
        "of_model": holder.model,
        "of_worker": holder.worker,
        "new_token": token,
        "lease": timedelta(seconds=holder.lease_seconds),
    }
    row = session.execute(statement, given).one_or_none()
    return _begun(session, row, token) if row is not None else None


CLAIM_FOR_SLOT = claiming(JobRow.audio_key.is_not(None) & has_room())


def _begun(session: Session, row: Row[Any], token: uuid.UUID) -> Claim:
    """The claim of a job that was just taken."""
    # The first attempt of a run finds nothing committed: the number counts down only after an attempt that commits no
    # part, because it fetched a link, or because its claim was undone.
    first = row.attempts == 1
    last = None if first else _last_part(session, row)
    return Claim(
        job=job_of(row),
        token=token,
        attempt=row.attempts,
        failures=row.failures,
        outages=row.outages,
        resume=last,
        sentences=0 if first else _sentence_count(session, row),
        spent_ms=0 if first else _spent_ms(session, row),
        isolated=row.isolated,
        words=_words(session, row),
        request_id=row.request_id,
        traceparent=row.traceparent,
    )


def _let_go(session: Session, job_id: uuid.UUID, model: str) -> None:
    """Clear the announcement of a job that could not be claimed.

    Its message is used up, so a job that is still queued needs another one.
    """
    session.execute(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.status == Status.QUEUED, JobRow.model == model)
        .values(dispatched_at=None)
    )


def _words(session: Session, job: Row[Any]) -> WordLists | None:
    if "vocabulary_id" not in job.options:
        return None
    row = session.get(JobWordsRow, job.id)
    if row is None:  # restored from a backup in part, or by a downgrade; it must not stop the queue
        log.error("job_words_missing", job_id=ids.shown(ids.JOB, job.id))
        return None
    return WordLists(tuple(row.hotwords), tuple(row.masked_words))


def _last_part(session: Session, job: Row[Any]) -> Part | None:
    row = session.scalars(
        select(PartRow).where(PartRow.job_id == job.id, PartRow.run == job.run).order_by(PartRow.number.desc()).limit(1)
    ).one_or_none()
    return Part(row.number, row.start_ms, row.end_ms, (), row.state or b"") if row else None


def _sentence_count(session: Session, job: Row[Any]) -> int:
    statement = select(func.coalesce(func.sum(PartRow.sentences), 0)).where(
        PartRow.job_id == job.id, PartRow.run == job.run
    )
    return int(session.scalar(statement) or 0)


def _spent_ms(session: Session, job: Row[Any]) -> int:
    """Sum the transcription time of the run's attempts; that of lost attempts is unknown, as it was never reported."""
    spent = AttemptRow.stage_ms[Stage.TRANSCRIBING.value].as_integer()
    statement = select(func.coalesce(func.sum(spent), 0)).where(AttemptRow.job_id == job.id, AttemptRow.run == job.run)
    return int(session.scalar(statement) or 0)
