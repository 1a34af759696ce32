"""Batches of links submitted at once: one job per link, and a group that counts them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from common import ids
from common.db import Database, cursors
from common.job_states import TERMINAL, Status
from common.jobs.accounting.quota import check
from common.jobs.job import Job, job_of
from common.jobs.lifecycle.submit import Submission, submit_in
from common.models import BatchRow, JobRow


@dataclass(frozen=True, slots=True)
class Refused:
    """An item for which no job was created; `number` counts the items from 0."""

    number: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BatchSubmission:
    """A batch request: the valid items by number, and the rejected ones with their errors."""

    id: uuid.UUID
    items: Mapping[int, Submission]
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """A group of jobs with the number of jobs in each state; `deleted` counts jobs that no longer exist."""

    id: uuid.UUID
    created_at: datetime
    total: int
    refused: tuple[Refused, ...]
    counts: Mapping[Status, int]
    finished_at: datetime | None

    @property
    def public_id(self) -> str:
        """The public id of the batch."""
        return ids.shown(ids.BATCH, self.id)

    @property
    def deleted(self) -> int:
        """The number of its jobs that no longer exist."""
        return self.total - len(self.refused) - sum(self.counts.values())

    @property
    def done(self) -> bool:
        """Whether all jobs of the batch are in a terminal state."""
        return all(status in TERMINAL for status, number in self.counts.items() if number)


@dataclass(frozen=True, slots=True)
class BatchPage:
    """A page of batches, newest first, and the cursor of the next page; None if this is the last page."""

    batches: tuple[Batch, ...]
    next_cursor: str | None


def submit_batch(session: Session, submission: BatchSubmission) -> tuple[Batch, Mapping[int, Job]]:
    """Store all jobs of a batch as queued within the caller's transaction; wake the dispatcher after the commit.

    Returns the batch and its jobs by number. Raises QuotaExceeded if the key has no room for all of them;
    InvalidRequest if it never will.
    """
    first = next(iter(submission.items.values()))
    check(session, first.tenant, first.key_id, first.quota, adding=len(submission.items))
    row = BatchRow(
        id=submission.id,
        tenant=first.tenant,
        key_id=first.key_id,
        total=len(submission.items) + len(submission.refused),
        refused=[[item.number, item.code, item.message] for item in submission.refused],
    )
    session.add(row)
    session.flush()
    made = {number: submit_in(session, item, checked=True) for number, item in sorted(submission.items.items())}
    session.refresh(row)
    return _batch_of(row, {Status.QUEUED: len(made)}, None), made


def get_batch(database: Database, batch_id: uuid.UUID, *, tenant: str) -> tuple[Batch, Mapping[int, Job]]:
    """Return a batch and those of its jobs that still exist, by number. Raises NotFound."""
    with database.transaction() as session:
        row = session.get(BatchRow, batch_id)
        if row is None or row.tenant != tenant:
            raise ids.missing(ids.BATCH, batch_id)
        rows = session.scalars(select(JobRow).where(JobRow.batch_id == batch_id).order_by(JobRow.batch_number)).all()
        jobs = {job.batch_number or 0: job_of(job) for job in rows}
        return _with_counts(session, [row])[0], jobs


def batch_page(database: Database, *, tenant: str, after: str | None = None, limit: int = 20) -> BatchPage:
    """Return a page of a tenant's batches, newest first. Raises InvalidRequest for an invalid cursor."""
    newest = (BatchRow.created_at.desc(), BatchRow.id.desc())
    statement = select(BatchRow).where(BatchRow.tenant == tenant).order_by(*newest).limit(limit + 1)
    if after is not None:
        statement = statement.where(tuple_(BatchRow.created_at, BatchRow.id) < tuple_(*cursors.decoded(after)))
    with database.transaction() as session:
        rows = session.scalars(statement).all()
        batches = tuple(_with_counts(session, rows[:limit]))
    if len(rows) <= limit:
        return BatchPage(batches, None)
    return BatchPage(batches, cursors.encoded(batches[-1].created_at, batches[-1].id))


def _with_counts(session: Session, rows: Sequence[BatchRow]) -> list[Batch]:
    """Convert the rows, with one query for the counts of all of them."""
    counted = session.execute(
        select(JobRow.batch_id, JobRow.status, func.count(), func.max(JobRow.finished_at))
        .where(JobRow.batch_id.in_([row.id for row in rows]))
        .group_by(JobRow.batch_id, JobRow.status)
    ).all()
    counts: dict[uuid.UUID, dict[Status, int]] = {row.id: {} for row in rows}
    ended: dict[uuid.UUID, datetime] = {}
    for batch_id, status, number, finished_at in counted:
        if batch_id is not None:
            counts[batch_id][Status(status)] = number
            if finished_at is not None:
                ended[batch_id] = max(finished_at, ended.get(batch_id, finished_at))
    return [_batch_of(row, counts[row.id], ended.get(row.id)) for row in rows]


def _batch_of(row: BatchRow, counts: Mapping[Status, int], last_end: datetime | None) -> Batch:
    done = all(status in TERMINAL for status, number in counts.items() if number)
    return Batch(
        id=row.id,
        created_at=row.created_at,
        total=row.total,
        refused=tuple(Refused(number, code, message) for number, code, message in row.refused),
        counts={status: counts.get(status, 0) for status in Status},
        finished_at=last_end if done else None,
    )
