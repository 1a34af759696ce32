"""Retention: deletes expired audio, transcripts, jobs, batches and usage, and orphaned objects.

Each step continues until nothing is due or its time limit is reached, in small transactions: one job each, or some
hundreds of small rows. A job that cannot be cleaned is skipped until the next time, and a step never blocks another.
Safe to run in several processes at once: each change is one conditional statement.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, text, tuple_, update
from sqlalchemy.sql.dml import ReturningDelete

from common import audio_keys, ids, renditions, uploads, webhooks
from common.db import Database
from common.db.leases import ago
from common.errors import ParaqueueError
from common.job_states import TERMINAL
from common.models import BatchRow, JobRow, UsageDailyRow, UsageRow
from common.storage import Storage
from common.telemetry import get_logger
from common.time_limit import TimeLimit

log = get_logger(__name__)
JOBS_AT_A_TIME = 200
ROWS_AT_A_TIME = 500
KEYS_AT_A_TIME = 500
# If this many jobs in one pass cannot be cleaned, the cause is not the jobs.
MOST_FAILURES = 5
# An upload that is still streaming has no row yet; nothing in the service takes longer than this.
ORPHAN_AGE = timedelta(hours=24)
# One statement per job: ten hours of audio have ten thousand sentences. The question mark stays, so that a retry does
# not take the rest of a link for the whole.
DELETE_RESULT = text("""
WITH due AS (
    SELECT id FROM jobs
    WHERE id = :job_id AND result_deleted_at IS NULL AND status IN ('completed', 'failed', 'canceled')
    AND finished_at < now() - make_interval(secs => :after_seconds)
    FOR UPDATE SKIP LOCKED
), said AS (DELETE FROM sentences USING due WHERE job_id = due.id),
   recognised AS (DELETE FROM machine_sentences USING due WHERE job_id = due.id),
   made AS (DELETE FROM parts USING due WHERE job_id = due.id),
   heard AS (DELETE FROM speakers USING due WHERE job_id = due.id),
   shared AS (DELETE FROM shares USING due WHERE job_id = due.id),
   summarised AS (DELETE FROM summaries USING due WHERE job_id = due.id)
UPDATE jobs SET result_deleted_at = now(), source_url = regexp_replace(source_url, '[?].*', '?')
FROM due WHERE jobs.id = due.id RETURNING jobs.id
""")


def expire_audio(database: Database, storage: Storage, limit: TimeLimit, *, after_seconds: float) -> int:
    """Delete the audio of jobs that ended at least `after_seconds` ago; returns the number of jobs."""

    def forget(job_id: uuid.UUID) -> bool:
        # Listed before the job is marked, so that the list contains nothing that a later retry fetches.
        keys = [key for key, _ in storage.keys(audio_keys.prefix(job_id))]
        if not _forget_audio(database, job_id):  # a retry came first and needs the audio
            return False
        for key in keys:
            storage.delete(key)
        return True

    return _each(database, _ended_before(after_seconds), JobRow.audio_key.is_not(None), forget, limit)


def _forget_audio(database: Database, job_id: uuid.UUID) -> bool:
    """Mark the audio of a job as deleted, before deleting it; False if the job no longer allows that.

    Objects that a failing storage then keeps are orphans, which are found as well.
    """
    with database.transaction() as session:
        changed = session.scalar(
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.status.in_(TERMINAL), JobRow.audio_key.is_not(None))
            .values(audio_key=None, audio_deleted_at=func.now())
            .returning(JobRow.id)
        )
        return changed is not None


def expire_results(database: Database, limit: TimeLimit, *, after_seconds: float) -> int:
    """Delete the results of jobs that ended at least `after_seconds` ago, with share links and summary."""

    def wipe(job_id: uuid.UUID) -> bool:
        with database.transaction() as session:
            deleted = session.scalar(DELETE_RESULT, {"job_id": job_id, "after_seconds": after_seconds})
            return deleted is not None

    return _each(database, _ended_before(after_seconds), JobRow.result_deleted_at.is_(None), wipe, limit)


def expire_jobs(database: Database, limit: TimeLimit, *, after_seconds: float) -> int:
    """Delete the rows of jobs that ended at least `after_seconds` ago and have neither audio nor a transcript any more.

    Their attempts, tags and stored responses are deleted with them. The log of their webhooks is kept without the
    content.
    """
    old = _ended_before(after_seconds)
    empty = JobRow.audio_key.is_(None) & JobRow.result_deleted_at.is_not(None)

    def wipe(job_id: uuid.UUID) -> bool:
        with database.transaction() as session:
            held = select(JobRow.id).where(JobRow.id == job_id, old, empty).with_for_update(skip_locked=True)
            if session.scalar(held) is None:
                return False
            webhooks.forget_job(session, job_id)
            uploads.forget(session, job_id)
            session.execute(delete(JobRow).where(JobRow.id == job_id))
            return True

    return _each(database, old, empty, wipe, limit)


def expire_batches(database: Database, limit: TimeLimit, *, after_seconds: float) -> int:
    """Delete batches of that age that have no jobs left."""
    due = (
        select(BatchRow.id)
        .where(BatchRow.created_at < ago(after_seconds))
        .where(~select(JobRow.id).where(JobRow.batch_id == BatchRow.id).exists())
        .order_by(BatchRow.created_at)
        .limit(ROWS_AT_A_TIME)
        .with_for_update(skip_locked=True)
    )
    statement = delete(BatchRow).where(BatchRow.id.in_(due.scalar_subquery())).returning(BatchRow.id)
    return limit.until_done(lambda: _changed(database, statement))


def expire_usage(database: Database, limit: TimeLimit, *, after_seconds: float) -> int:
    """Delete the usage of runs that ended at least `after_seconds` ago."""
    due = (
        select(UsageRow.job_id, UsageRow.run)
        .where(UsageRow.ended_at < ago(after_seconds))
        .order_by(UsageRow.ended_at)
        .limit(ROWS_AT_A_TIME)
        .with_for_update(skip_locked=True)
    )
    statement = delete(UsageRow).where(tuple_(UsageRow.job_id, UsageRow.run).in_(due)).returning(UsageRow.run)
    days = delete(UsageDailyRow).where(UsageDailyRow.day < ago(after_seconds)).returning(UsageDailyRow.day)
    return _changed(database, days) + limit.until_done(lambda: _changed(database, statement))


def _changed(database: Database, statement: ReturningDelete[Any]) -> int:
    with database.transaction() as session:
        return len(session.execute(statement).all())


def _ended_before(after_seconds: float) -> ColumnElement[bool]:
    return JobRow.status.in_(TERMINAL) & (JobRow.finished_at < ago(after_seconds))


def _each(
    database: Database,
    ended: ColumnElement[bool],
    due: ColumnElement[bool],
    act: Callable[[uuid.UUID], bool],
    limit: TimeLimit,
) -> int:
    """Call `act` for every due job, oldest end first, and return how often it succeeded.

    A job for which `act` fails is skipped. Raises the error after repeated failures.
    """
    done = failures = 0
    for job_id in _due(database, ended & due, limit):
        try:
            done += act(job_id)
        except ParaqueueError as error:
            failures += 1
            if failures >= MOST_FAILURES:
                raise
            log.warning("job_not_cleaned", job_id=ids.shown(ids.JOB, job_id), error_code=error.code)
    return done


def _due(database: Database, due: ColumnElement[bool], limit: TimeLimit) -> Iterator[uuid.UUID]:
    """Yield the jobs that are due, page by page, each at most once."""
    place = tuple_(JobRow.finished_at, JobRow.id)
    statement = select(JobRow.id, JobRow.finished_at).where(due).order_by(JobRow.finished_at, JobRow.id)
    behind = statement
    while not limit.over:
        with database.transaction() as session:
            page = session.execute(behind.limit(JOBS_AT_A_TIME)).all()
        for job_id, finished_at in page:
            if not limit.over:
                yield job_id
                behind = statement.where(place > (finished_at, job_id))
        if not page:
            return


@dataclass(frozen=True, slots=True)
class Search:
    """The result of a search for orphans: how many were deleted, and the key to continue after ("": finished)."""

    deleted: int
    reached: str


def delete_orphans(database: Database, storage: Storage, limit: TimeLimit, *, after: str = "") -> Search:
    """Delete audio that no job refers to: aborted uploads, and copies made by workers that had lost their lease.

    Starts after the key `after`, so that a very large storage can be searched in several passes.
    """
    with database.transaction() as session:  # the database's clock, as the one of this machine may be a day ahead
        too_old = (session.scalar(select(func.now())) or datetime.now(UTC)) - ORPHAN_AGE
    deleted = 0
    if not after:
        deleted += storage.delete_unfinished(too_old, keep=lambda key: _is_growing(database, key))
    keys = storage.keys(audio_keys.ROOT, after=after)
    reached = after
    while page := list(islice(keys, KEYS_AT_A_TIME)):
        old = [key for key, changed_at in page if changed_at <= too_old]
        for key in _orphans(database, old):
            storage.delete(key)
            deleted += 1
        reached = page[-1][0]
        if limit.over:
            return Search(deleted, reached)
    return Search(deleted, "")


def _orphans(database: Database, keys: Iterable[str]) -> list[str]:
    """Return the keys that no row refers to, except keys of foreign objects."""
    jobs = {key: job_id for key in keys if (job_id := audio_keys.job_of(key)) is not None}
    if not jobs:
        return []
    job_ids = set(jobs.values())
    with database.transaction() as session:
        named = set(session.scalars(select(JobRow.audio_key).where(JobRow.id.in_(job_ids))))
        growing = uploads.live(session, job_ids)
        made = renditions.named(session, jobs)
    return [key for key, job_id in jobs.items() if key not in named and job_id not in growing and key not in made]


def _is_growing(database: Database, key: str) -> bool:
    job_id = audio_keys.job_of(key)
    if job_id is None:
        return False
    with database.transaction() as session:
        return bool(uploads.live(session, {job_id}))
