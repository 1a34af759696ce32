"""Reads jobs and transcripts; nothing here changes a row."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
# Built once: building a statement takes longer than the database needs to run it.
ONE = select(*SHOWN).where(JOBS.c.id == bindparam("id"))
NEWEST = (
    select(*SHOWN)
    .where(JOBS.c.tenant == bindparam("tenant"))
    .order_by(JOBS.c.created_at.desc(), JOBS.c.id.desc())
    .limit(bindparam("number", type_=Integer))
)
# In index order, so that a page costs the same however often a tag was used.
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
# Redundant, but it prevents plans cached while there were few edits from scanning all edits of a job.
NEAR = (EDITS.c.number > bindparam("number")) & (EDITS.c.number <= bindparam("number") + bindparam("limit"))
SENTENCES = (
    select(
        *(
            SPOKEN.c[name]
            for name in ("text", "start_ms", "end_ms", "confidence", "words", "channel", "speaker", "spoken")
        ),
        EDITS.c.text.label("edited_text"),
        EDITS.c.words.label("edited_words"),
        EDITS.c.confirmed,
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
    """A page of jobs, newest first, and the cursor of the next page; None if this is the last page."""

    jobs: tuple[Job, ...]
    next_cursor: str | None


def get(database: Database, job_id: uuid.UUID, *, tenant: str | None = None) -> Job:
    """Return one job in any state. Raises NotFound, also for a job of a tenant other than the given one."""
    with database.transaction() as session:
        return _one(session, job_id, tenant)


def get_with_attempts(database: Database, job_id: uuid.UUID, *, tenant: str | None = None) -> tuple[Job, list[Attempt]]:
    """Return one job and all its attempts, oldest first. Raises NotFound like `get`."""
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
    """Return a page of a tenant's jobs, newest first, created at or after `created_from` and before `created_to`.

    Raises InvalidRequest for an invalid cursor.
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
    """Build the statement for jobs with a status and a tag, newest first, and the two columns of its sort position."""
    if tag is not None and status is None:
        return TAGGED, TAGS.c.created_at, TAGS.c.job_id
    statement = NEWEST
    if status is not None:
        statement = statement.where(JOBS.c.status == status)
    if tag is not None:  # PostgreSQL starts with whichever of the two matches fewer jobs
        statement = statement.join_from(JOBS, TAGS, (TAGS.c.job_id == JOBS.c.id) & (TAGS.c.tag == bindparam("tag")))
        statement = statement.where(TAGS.c.tenant == bindparam("tenant"))
    return statement, JOBS.c.created_at, JOBS.c.id


def attempts(database: Database, job_id: uuid.UUID) -> list[Attempt]:
    """Return all attempts of a job, oldest first."""
    with database.transaction() as session:
        return _attempts(session, job_id)


def _attempts(session: Session, job_id: uuid.UUID) -> list[Attempt]:
    return [attempt_of(row) for row in session.execute(ATTEMPTS, {"id": job_id})]


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


def sentences(database: Database, job: Job, *, machine: bool = False) -> Iterator[Sentence]:
    """Iterate over the sentences of a job's current run in order, fetched a few hundred at a time.

    Returns the corrected text or, with `machine`, the recognized text. No connection is held between two fetches, so a
    slow reader blocks nobody. Raises NotFound, Expired or NotReady if the sentences were deleted meanwhile, so that
    nobody takes the first of them for the transcript.
    """
    reached = -1
    while sentences := sentences_after(database, job, reached, machine=machine):
        yield from sentences
        reached += len(sentences)
        if len(sentences) < SENTENCES_AT_A_TIME:
            return
    # Sentences are deleted all at once. So only an empty fetch may be something else than the end.
    check_kept(database, job)


def check_kept(database: Database, job: Job) -> None:
    """Raise NotFound, Expired or NotReady if the sentences of the job's run were deleted since the job was read."""
    if readable(get(database, job.id), partial=True).run != job.run:
        raise NotReady("the job was retried while its transcript was read")


def sentences_after(
    database: Database, job: Job, number: int, *, limit: int = SENTENCES_AT_A_TIME, machine: bool = False
) -> list[Sentence]:
    """Return up to `limit` sentences after `number`, which counts from 0; empty at the (current) end."""
    parameters = {"id": job.id, "run": job.run, "number": number, "limit": limit}
    with database.transaction() as session:
        return [_sentence_of(row, machine=machine) for row in session.execute(SENTENCES, parameters)]


def sentence(database: Database, job: Job, number: int, *, machine: bool = False) -> Sentence:
    """Return one sentence of a job's current run. Raises NotFound."""
    sentences = sentences_after(database, job, number - 1, limit=1, machine=machine) if number >= 0 else []
    if not sentences:
        raise NotFound(f"{job.public_id} has no sentence {number}")
    return sentences[0]


def _sentence_of(row: Row[*tuple[Any, ...]], *, machine: bool) -> Sentence:
    edit = None
    if row.revision is not None:
        by = ids.shown(ids.KEY, row.key_id) if row.key_id is not None else None
        words = tuple(Word(*word) for word in row.edited_words) if row.edited_words is not None else None
        edit = Edit(row.edited_text, row.text, row.revision, row.edited_at, by, words)
    spoken_words = tuple(Word(*word) for word in row.words)
    checked = confirmed_words(spoken_words, () if machine else row.confirmed or ())
    return Sentence(
        text=row.text if machine or row.edited_text is None else row.edited_text,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        confidence=row.confidence if checked is spoken_words else mean_confidence(checked),
        words=checked,
        channel=row.channel,
        edit=edit,
        speaker=row.speaker,
        spoken=row.spoken,
    )


def confirmed_words(words: tuple[Word, ...], confirmed: Sequence[int]) -> tuple[Word, ...]:
    """Return the words, those at the confirmed places with the confidence 1; the same tuple if there are none."""
    if not confirmed:
        return words
    places = set(confirmed)
    return tuple(
        replace(word, confidence=1.0, confirmed=True) if place in places else word for place, word in enumerate(words)
    )


def mean_confidence(words: Sequence[Word]) -> float:
    """Return the confidence of a sentence of these words, as the engine computes it."""
    return round(sum(word.confidence for word in words) / len(words), 4)
