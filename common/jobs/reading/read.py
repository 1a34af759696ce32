"""Reading jobs and transcripts. Nothing here changes a row."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Integer, Row, Select, Table, bindparam, select, tuple_
from sqlalchemy.orm import Session

from common import cursors, ids
from common.db import Database
from common.errors import Expired, NotFound, NoTranscript, NotReady
from common.job_states import Status
from common.jobs.job import JOBS, SHOWN, Attempt, Job, attempt_of, job_shown
from common.models import DEFAULT_TENANT, AttemptRow, EditRow, JobRow, JobTagRow, SentenceRow
from common.transcript.values import Edit, Sentence, Word

SENTENCES_AT_A_TIME = 200
TRIES = cast(Table, AttemptRow.__table__)
SPOKEN = cast(Table, SentenceRow.__table__)
EDITS = cast(Table, EditRow.__table__)
TAGS = cast(Table, JobTagRow.__table__)
# Built once: building a statement takes longer than the database needs for it.
ONE = select(*SHOWN).where(JOBS.c.id == bindparam("id"))
NEWEST = (
    select(*SHOWN)
    .where(JOBS.c.tenant == bindparam("tenant"))
    .order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc())
    .limit(bindparam("number", type_=Integer))
)
# In the order of the index, so that a page costs the same however often a tag was used.
TAGGED = (
    select(*SHOWN)
    .join_from(JOBS, TAGS, TAGS.c.job_id == JOBS.c.id)
    .where(TAGS.c.tenant == bindparam("tenant"), TAGS.c.tag == bindparam("tag"))
    .order_by(TAGS.c.created_at.desc(), TAGS.c.job_id.desc())
    .limit(bindparam("number", type_=Integer))
)
ATTEMPTS = select(TRIES).where(TRIES.c.job_id == bindparam("id")).order_by(TRIES.c.started_at)

SAME_SENTENCE = (
    (EDITS.c.job_id == SPOKEN.c.job_id) & (EDITS.c.run == SPOKEN.c.run) & (EDITS.c.number == SPOKEN.c.number)
)
# Says the same again, for plans that were made when there were few edits: they cannot go over those of a whole job.
NEAR = (EDITS.c.number > bindparam("number")) & (EDITS.c.number <= bindparam("number") + bindparam("limit"))
SENTENCES = (
    select(
        *(SPOKEN.c[name] for name in ("text", "start_ms", "end_ms", "confidence", "words", "channel")),
        EDITS.c.text.label("edited_text"),
        EDITS.c.revision,
        EDITS.c.key_id,
        EDITS.c.edited_at,
    )
    .select_from(SPOKEN.outerjoin(EDITS, SAME_SENTENCE & NEAR))
    .where(SPOKEN.c.job_id == bindparam("id"), SPOKEN.c.run == bindparam("run"))
    .where(SPOKEN.c.number > bindparam("number"))
    .order_by(SPOKEN.c.number)
    .limit(bindparam("limit", type_=Integer))
)


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and the cursor behind them; None where there are no more."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


def get(database: Database, job_id: uuid.UUID, *, tenant: str | None = None) -> Job:
    """One job, whatever its state. Raises NotFound, also for a job of another tenant than the one named."""
    with database.transaction() as session:
        return _one(session, job_id, tenant)


def get_with_attempts(database: Database, job_id: uuid.UUID, *, tenant: str | None = None) -> tuple[Job, list[Attempt]]:
    """One job and all tries at it, oldest first. Raises NotFound as `get` does."""
    with database.transaction() as session:
        job = _one(session, job_id, tenant)
        untried = job.run == 1 and not job.attempts
        return job, [] if untried else _attempts(session, job_id)


def _one(session: Session, job_id: uuid.UUID, tenant: str | None) -> Job:
    row = session.execute(ONE, {"id": job_id}).one_or_none()
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(f"not found: {ids.shown(ids.JOB, job_id)!r}")
    return job_shown(row)


def page(
    database: Database,
    *,
    tenant: str = DEFAULT_TENANT,
    status: Status | None = None,
    tag: str | None = None,
    batch_id: uuid.UUID | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    after: str | None = None,
    limit: int = 20,
) -> Page:
    """A page of a tenant's jobs, newest first; created from one moment on, and before another.

    Raises InvalidRequest for a cursor that is not ours.
    """
    statement, created_at, job_id = _newest(status, tag)
    if batch_id is not None:
        statement = statement.where(JobRow.batch_id == batch_id)
    if created_from is not None:
        statement = statement.where(created_at >= created_from)
    if created_to is not None:
        statement = statement.where(created_at < created_to)
    if after is not None:
        statement = statement.where(tuple_(created_at, job_id) < tuple_(*cursors.decoded(after)))
    given = {"tenant": tenant, "number": limit + 1, "tag": tag}
    with database.transaction() as session:
        jobs = tuple(job_shown(row) for row in session.execute(statement, given))
    if len(jobs) <= limit:
        return Page(jobs, None)
    last = jobs[limit - 1]
    return Page(jobs[:limit], cursors.encoded(last.created_at, last.id))


def _newest(status: Status | None, tag: str | None) -> tuple[Select[Any], ColumnElement[Any], ColumnElement[Any]]:
    """Jobs with a status and a tag, newest first, and the two columns that say where a job stands."""
    if tag is not None and status is None:
        return TAGGED, TAGS.c.created_at, TAGS.c.job_id
    statement = NEWEST
    if status is not None:
        statement = statement.where(JOBS.c.status == status)
    if tag is not None:  # PostgreSQL begins with whichever of the two fewer jobs have
        statement = statement.join_from(JOBS, TAGS, (TAGS.c.job_id == JOBS.c.id) & (TAGS.c.tag == bindparam("tag")))
        statement = statement.where(TAGS.c.tenant == bindparam("tenant"))
    return statement, JOBS.c.created_at, JOBS.c.id


def attempts(database: Database, job_id: uuid.UUID) -> list[Attempt]:
    """All tries at a job, oldest first."""
    with database.transaction() as session:
        return _attempts(session, job_id)


def _attempts(session: Session, job_id: uuid.UUID) -> list[Attempt]:
    return [attempt_of(row) for row in session.execute(ATTEMPTS, {"id": job_id})]


def readable(job: Job, *, partial: bool) -> Job:
    """The job, if its transcript may be read. Raises Expired, NotReady; NoTranscript where there is none to come."""
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


def sentences(database: Database, job: Job, *, machine: bool = False) -> Iterator[Sentence]:
    """The sentences of a job's current run in order, fetched a few hundred at a time.

    As people corrected them, or with `machine` as they were recognised. No connection is held between two fetches,
    so that a slow reader holds nobody up.
    """
    reached = -1
    while found := sentences_after(database, job, reached, machine=machine):
        yield from found
        reached += len(found)


def sentences_after(
    database: Database, job: Job, number: int, *, limit: int = SENTENCES_AT_A_TIME, machine: bool = False
) -> list[Sentence]:
    """The next few hundred sentences behind `number`, which counts from 0; empty at the (present) end."""
    asked = {"id": job.id, "run": job.run, "number": number, "limit": limit}
    with database.transaction() as session:
        return [_sentence_of(row, machine=machine) for row in session.execute(SENTENCES, asked)]


def sentence(database: Database, job: Job, number: int, *, machine: bool = False) -> Sentence:
    """One sentence of a job's current run. Raises NotFound."""
    found = sentences_after(database, job, number - 1, limit=1, machine=machine) if number >= 0 else []
    if not found:
        raise NotFound(f"{job.public_id} has no sentence {number}")
    return found[0]


def _sentence_of(row: Row[*tuple[Any, ...]], *, machine: bool) -> Sentence:
    edit = None
    if row.revision is not None:
        by = ids.shown(ids.KEY, row.key_id) if row.key_id is not None else None
        edit = Edit(row.edited_text, row.text, row.revision, row.edited_at, by)
    return Sentence(
        text=row.text if machine or row.edited_text is None else row.edited_text,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        confidence=row.confidence,
        words=tuple(Word(*word) for word in row.words),
        channel=row.channel,
        edit=edit,
    )
