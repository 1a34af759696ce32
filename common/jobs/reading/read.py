"""Reads jobs and transcripts; nothing here changes a row."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import Integer, Row, Table, bindparam, select
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.errors import Expired, NotFound, NoTranscript, NotReady
from common.job_states import Status
from common.jobs.job import JOBS, SHOWN, Attempt, Job, attempt_of, job_shown
from common.models import AttemptRow, EditRow, SentenceRow
from common.transcript.values import Edit, Sentence, Word

SENTENCES_AT_A_TIME = 200
TRIES = cast(Table, AttemptRow.__table__)
SPOKEN = cast(Table, SentenceRow.__table__)
EDITS = cast(Table, EditRow.__table__)
# Built once: building a statement takes longer than the database needs to run it.
ONE = select(*SHOWN).where(JOBS.c.id == bindparam("id"))
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
# Long corrections have a megabyte of words, which only subtitles need.
SENTENCES_WITHOUT_EDITED_WORDS = SENTENCES.with_only_columns(
    *(column for column in SENTENCES.selected_columns if column.key != "edited_words"), maintain_column_froms=True
)


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
        raise ids.missing(ids.JOB, job_id)
    return job_shown(row)


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
    database: Database,
    job: Job,
    number: int,
    *,
    limit: int = SENTENCES_AT_A_TIME,
    machine: bool = False,
    edited_words: bool = True,
) -> list[Sentence]:
    """Return up to `limit` sentences after `number`, which counts from 0; empty at the (current) end.

    Without `edited_words`, edits have no words, and take less memory.
    """
    statement = SENTENCES if edited_words else SENTENCES_WITHOUT_EDITED_WORDS
    parameters = {"id": job.id, "run": job.run, "number": number, "limit": limit}
    with database.transaction() as session:
        return [_sentence_of(row, machine=machine) for row in session.execute(statement, parameters)]


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
        stored = row._mapping.get("edited_words")
        words = tuple(Word(*word) for word in stored) if stored is not None else None
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
