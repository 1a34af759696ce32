"""Pages of a tenant's jobs: filtered, searched by name, and sorted.

Each order is that of an index, and a page begins after the last job of the one before, so that a page costs the same
wherever it is. Names are found by the index `jobs_name_search`.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    Uuid,
    bindparam,
    collate,
    func,
    literal,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from common.db import Database, Prepared, cursors
from common.job_states import Status
from common.jobs.job import JOBS, SHOWN, Job, job_shown
from common.jobs.reading.sentences import EDITS, SPOKEN, in_place
from common.jobs.reading.words import folded, grams_of, in_time
from common.models import DEFAULT_TENANT, JobTagRow
from common.transcript.sentence_numbers import FIRST_SPLIT_OFF, WORDS_PER_SENTENCE
from common.transcript.values import needs_space

TAGS = cast(Table, JobTagRow.__table__)
# The expressions of the indexes in `common.models.jobs`; constants are no parameters, or no index would fit.
NAME: ColumnElement[str] = func.coalesce(JOBS.c.name, JOBS.c.source_name, text("''"))
NAME_ORDER = func.left(func.search_folded(collate(NAME, "C")), text("100"), type_=Text)
NAME_GRAMS = func.search_grams(JOBS.c.tenant, NAME, text("1"), type_=ARRAY(BigInteger))
LENGTH_ORDER = func.coalesce(JOBS.c.audio_ms, text("0"), type_=BigInteger)
# A preview is the beginning of the text: so many sentences, because the first may be one word, and so many letters.
PREVIEW_SENTENCES = 3
PREVIEW_LETTERS = 160
_BEGINNING = (SPOKEN.c.job_id == JOBS.c.id) & (SPOKEN.c.run == JOBS.c.run)
_BEHIND = text(str(FIRST_SPLIT_OFF + PREVIEW_SENTENCES * WORDS_PER_SENTENCE))
# Sentences of the machine, and those that people split off them.
_FIRST = union_all(
    *(
        select(SPOKEN.c.number, SPOKEN.c.text).where(_BEGINNING, some).correlate(JOBS)
        for some in (
            SPOKEN.c.number < text(str(PREVIEW_SENTENCES)),
            (SPOKEN.c.number >= text(str(FIRST_SPLIT_OFF))) & (SPOKEN.c.number < _BEHIND),
        )
    )
).lateral()
PREVIEWS = Prepared(
    select(JOBS.c.id, func.left(func.coalesce(EDITS.c.text, _FIRST.c.text), PREVIEW_LETTERS).label("text"))
    .select_from(JOBS)
    .join(_FIRST, true())
    .outerjoin(EDITS, (EDITS.c.job_id == JOBS.c.id) & (EDITS.c.run == JOBS.c.run) & (EDITS.c.number == _FIRST.c.number))
    .where(JOBS.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid))))
    .order_by(JOBS.c.id, in_place(_FIRST.c.number))
)


class Sort(StrEnum):
    """The order of a list of jobs. Names are compared without case, letter by letter."""

    NEWEST = "newest"
    OLDEST = "oldest"
    LONGEST = "longest"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs and the cursor of the next page; None if this is the last page.

    `previews`: the beginnings of transcripts by job, if they were asked for.
    """

    jobs: tuple[Job, ...]
    next_cursor: str | None
    previews: dict[uuid.UUID, str] | None = None


@dataclass(frozen=True, slots=True)
class _Query:
    """A statement that is built once, and its columns for filters and cursors."""

    select: Select[Any]
    prepared: Prepared
    key: ColumnElement[Any]
    id: ColumnElement[Any]
    created_at: ColumnElement[Any]


def page(
    database: Database,
    *,
    tenant: str = DEFAULT_TENANT,
    status: Status | None = None,
    tag: str | None = None,
    batch_id: uuid.UUID | None = None,
    name: str | None = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    sort: Sort = Sort.NEWEST,
    after: str | None = None,
    limit: int = 20,
    previews: bool = False,
) -> Page:
    """Return a page of a tenant's jobs, created at or after `created_from` and before `created_to`.

    `name`: words that all stand in the job's name. Raises InvalidRequest for an invalid cursor, and for a name that
    has no letter or digit or takes too long to find.
    """
    query = _query(sort, status is not None, tag is not None)
    statement = query.select
    if batch_id is not None:
        statement = statement.where(JOBS.c.batch_id == batch_id)
    if created_from is not None:
        statement = statement.where(query.created_at >= created_from)
    if created_to is not None:
        statement = statement.where(query.created_at < created_to)
    if after is not None:
        statement = statement.where(_behind(query, sort, after))
    given = {"tenant": tenant, "number": limit + 1, "tag": tag, "status": status}
    rows: Sequence[Any]
    if statement is query.select and name is None:
        rows = database.run(query.prepared, given)
    else:
        with database.transaction() as session:
            rows = _rows(session, statement, given, name)
    jobs = tuple(job_shown(row[:-1]) for row in rows[:limit])
    beginnings = _previews(database, jobs) if previews else None
    if len(rows) <= limit:
        return Page(jobs, None, beginnings)
    return Page(jobs, _cursor(sort, rows[limit - 1][-1], jobs[-1]), beginnings)


@cache
def _query(sort: Sort, with_status: bool, with_tag: bool) -> _Query:
    """Build the statement of a list: building takes longer than the database needs to run it."""
    keys: dict[Sort, ColumnElement[Any]] = {Sort.LONGEST: LENGTH_ORDER, Sort.NAME: NAME_ORDER}
    # In the order of tags, so that a page costs the same however often a tag was used. With a status, PostgreSQL
    # starts with whichever of the two matches fewer jobs.
    by_tag = with_tag and not with_status and sort not in keys
    created_at, job_id = (TAGS.c.created_at, TAGS.c.job_id) if by_tag else (JOBS.c.created_at, JOBS.c.id)
    key = keys.get(sort, created_at)
    statement = select(*SHOWN, key.label("position")).limit(bindparam("number", type_=Integer))
    if with_tag:
        statement = statement.join_from(JOBS, TAGS, TAGS.c.job_id == JOBS.c.id)
        statement = statement.where(TAGS.c.tenant == bindparam("tenant"), TAGS.c.tag == bindparam("tag"))
    if not by_tag:
        statement = statement.where(JOBS.c.tenant == bindparam("tenant"))
    if with_status:
        statement = statement.where(JOBS.c.status == bindparam("status"))
    order = (key.desc(), job_id.desc()) if _falls(sort) else (key, job_id)
    statement = statement.order_by(*order)
    return _Query(statement, Prepared(statement), key, job_id, created_at)


def _falls(sort: Sort) -> bool:
    return sort in (Sort.NEWEST, Sort.LONGEST)


def _behind(query: _Query, sort: Sort, after: str) -> ColumnElement[bool]:
    kinds: dict[Sort, type] = {Sort.LONGEST: int, Sort.NAME: str}
    key: Any
    if sort in kinds:
        key, job_id = cursors.decoded_key(after, sort, kinds[sort])
    else:
        key, job_id = cursors.decoded(after, kind=_kind(sort))
    place, here = tuple_(query.key, query.id), tuple_(literal(key, query.key.type), literal(job_id, Uuid()))
    return place < here if _falls(sort) else place > here


def _cursor(sort: Sort, key: Any, last: Job) -> str:
    if sort in (Sort.LONGEST, Sort.NAME):
        return cursors.encoded_key(sort, key, last.id)
    return cursors.encoded(last.created_at, last.id, kind=_kind(sort))


def _kind(sort: Sort) -> str:
    """The kind of a cursor of time; the newest first is the order of all other lists too."""
    return "" if sort is Sort.NEWEST else sort


def _rows(session: Session, statement: Select[Any], given: dict[str, Any], name: str | None) -> Sequence[Any]:
    if name is None:
        return session.execute(statement, given).all()
    with in_time(session, "name"):
        words = folded(session, name)
        grams, _ = grams_of(session, given["tenant"], words, "name")
        statement = statement.where(NAME_GRAMS.contains(literal(grams, ARRAY(BigInteger))))
        for word in words:
            statement = statement.where(func.strpos(func.search_folded(NAME), word) > 0)
        return session.execute(statement, given).all()


def _previews(database: Database, jobs: Sequence[Job]) -> dict[uuid.UUID, str]:
    found: dict[uuid.UUID, str] = {}
    kept = [job.id for job in jobs if job.result_deleted_at is None]
    for job_id, sentence in database.run(PREVIEWS, {"ids": kept}):
        before = found.get(job_id, "")
        found[job_id] = before + (" " if needs_space(before, sentence) else "") + sentence
    return {job_id: beginning[:PREVIEW_LETTERS] for job_id, beginning in found.items() if beginning}
