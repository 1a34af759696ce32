"""Finding sentences by what was said.

A sentence that a person corrected is found by the person's text, not by the machine's.

The index `sentences_search` holds, of each sentence, every pair of letters that stand side by side and every single
letter, each together with the tenant; the functions `search_folded` and `search_grams` (migrations/sql) say
which. `edits_search` holds the same of what people wrote. So two Chinese characters, which no trigram serves, are one
look-up; a word that everybody says costs a tenant that said it twice two rows. What the indexes find is then compared
with the words that were asked for.
"""

from __future__ import annotations

import base64
import binascii
import unicodedata
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.errors import QueryCanceled
from sqlalchemy import BigInteger, Select, and_, exists, func, literal, or_, select, text, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import InstrumentedAttribute, Session

from common import ids
from common.db import Database
from common.errors import InvalidRequest
from common.models import EditRow, JobRow, SentenceRow

SNIPPET_WIDTH = 80
# One letter may stand in every sentence of a tenant: a search must not keep PostgreSQL busy for as long as it likes.
TIMEOUT_MS = 2000
# The expression of the index, letter by letter: another one would not be recognised.
GRAMS = func.search_grams(SentenceRow.tenant, SentenceRow.text, text("1"), type_=ARRAY(BigInteger))
EDIT_GRAMS = func.search_grams(EditRow.tenant, EditRow.text, text("1"), type_=ARRAY(BigInteger))
SAME_SENTENCE = and_(
    EditRow.job_id == SentenceRow.job_id, EditRow.run == SentenceRow.run, EditRow.number == SentenceRow.number
)


@dataclass(frozen=True, slots=True)
class Hit:
    """A sentence that was found; `matches` are the places of the words in `text`, from and before which character."""

    job_id: uuid.UUID
    job_name: str | None
    job_created_at: datetime
    number: int
    channel: int
    start_ms: int
    end_ms: int
    text: str
    matches: tuple[tuple[int, int], ...]

    @property
    def transcription_id(self) -> str:
        """The job's id as clients know it."""
        return ids.shown(ids.JOB, self.job_id)

    @property
    def snippet(self) -> str:
        """The part of a long sentence that the first match stands in."""
        if len(self.text) <= SNIPPET_WIDTH:
            return self.text
        first, behind = self.matches[0] if self.matches else (0, 0)
        start = max(0, min(first - (SNIPPET_WIDTH - (behind - first)) // 2, len(self.text) - SNIPPET_WIDTH))
        end = start + SNIPPET_WIDTH
        return ("…" if start else "") + self.text[start:end] + ("…" if end < len(self.text) else "")


@dataclass(frozen=True, slots=True)
class Hits:
    """Some sentences, those of the newest jobs first, and the cursor behind them; None where there are no more."""

    hits: tuple[Hit, ...]
    next_cursor: str | None


def search(database: Database, query: str, *, tenant: str, after: str | None = None, limit: int = 20) -> Hits:
    """The sentences of a tenant's transcripts in which all words of the query stand.

    Words are separated by white space and may be parts of longer ones. Upper and lower case are the same, and so are
    full-width and half-width letters. Raises InvalidRequest for a query without letters or digits, for one that stands
    in so many sentences that they cannot be gone through in time, and for a cursor that is not ours.
    """
    position = _decoded(after) if after is not None else None
    with database.transaction() as session, _in_time():
        session.execute(text(f"SET LOCAL statement_timeout = {TIMEOUT_MS}"))
        # A plan that knows the letters: how common they are decides how to look for them.
        session.execute(text("SET LOCAL plan_cache_mode = force_custom_plan"))
        words = [session.scalar(select(func.search_folded(word))) or "" for word in query.split()]
        statement = _statement(tenant, words, _grams(session, tenant, words), position)
        rows = session.execute(statement.limit(limit + 1)).all()
    hits = tuple(
        Hit(
            job_id=row.job_id,
            job_name=row.source_name,
            job_created_at=row.created_at,
            number=row.number,
            channel=row.channel,
            start_ms=row.start_ms,
            end_ms=row.end_ms,
            text=row.text,
            matches=_matches(row.text, words),
        )
        for row in rows[:limit]
    )
    if len(rows) <= limit:
        return Hits(hits, None)
    return Hits(hits, _encoded(hits[-1].job_id, hits[-1].number))


@contextmanager
def _in_time() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        if isinstance(error.orig, QueryCanceled):
            raise InvalidRequest("`q` stands in too many sentences to search them all; look for longer words") from None
        raise


def _grams(session: Session, tenant: str, words: list[str]) -> list[int]:
    """What the index is asked for: the pairs of each word, or its single letters where there is no pair."""
    grams: set[int] = set()
    for word in words:
        for shortest in (2, 1):
            found = session.scalar(select(func.search_grams(tenant, word, shortest)))
            if found:
                grams.update(found)
                break
    if not grams:
        raise InvalidRequest("`q` contains no letter or digit")
    return sorted(grams)


def _statement(tenant: str, words: list[str], grams: list[int], position: tuple[uuid.UUID, int] | None) -> Select[Any]:
    """What the machine heard and nobody corrected, and what people put in its place."""
    asked = literal(grams, ARRAY(BigInteger))
    corrected = exists().where(SAME_SENTENCE, EditRow.text.is_not(None))
    heard = _found(SentenceRow.text, tenant, words, position).where(GRAMS.contains(asked), ~corrected)
    edited = _found(EditRow.text, tenant, words, position).join(EditRow, SAME_SENTENCE)
    found = union_all(heard, edited.where(EDIT_GRAMS.contains(asked))).subquery()
    return select(found).order_by(found.c.job_id.desc(), found.c.number)


def _found(
    content: InstrumentedAttribute[Any], tenant: str, words: list[str], position: tuple[uuid.UUID, int] | None
) -> Select[Any]:
    statement = select(
        SentenceRow.job_id,
        JobRow.source_name,
        JobRow.created_at,
        SentenceRow.number,
        SentenceRow.channel,
        SentenceRow.start_ms,
        SentenceRow.end_ms,
        content.label("text"),
    ).join(JobRow, and_(JobRow.id == SentenceRow.job_id, JobRow.run == SentenceRow.run, JobRow.tenant == tenant))
    for word in words:
        statement = statement.where(func.strpos(func.search_folded(content), word) > 0)
    if position is not None:
        job_id, number = position
        behind = or_(SentenceRow.job_id < job_id, SentenceRow.number > number)
        statement = statement.where(SentenceRow.job_id <= job_id, behind)
    return statement


def _matches(content: str, words: list[str]) -> tuple[tuple[int, int], ...]:
    """Where the words stand, in the order of the text, without those that begin inside another."""
    folded: list[str] = []
    places: list[int] = []  # which letter of the sentence a folded one comes from
    for place, letter in enumerate(content):
        for part in unicodedata.normalize("NFKC", letter).lower():
            folded.append(part)
            places.append(place)
    flat = "".join(folded)
    found: list[tuple[int, int]] = []
    for word in words:
        start = flat.find(word)
        while start >= 0:
            found.append((places[start], places[start + len(word) - 1] + 1))
            start = flat.find(word, start + len(word))
    apart: list[tuple[int, int]] = []
    for first, behind in sorted(found):
        if not apart or first >= apart[-1][1]:
            apart.append((first, behind))
    return tuple(apart)


def _encoded(job_id: uuid.UUID, number: int) -> str:
    return base64.urlsafe_b64encode(f"{job_id.hex}|{number}".encode()).decode().rstrip("=")


def _decoded(cursor: str) -> tuple[uuid.UUID, int]:
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        job_id, _, number = plain.partition("|")
        if not number.isdecimal() or int(number) > 2**31 - 1:
            raise ValueError("a cursor's number is one of a sentence")
        return uuid.UUID(hex=job_id), int(number)
    except (ValueError, binascii.Error):
        raise InvalidRequest("`after` is not a valid cursor") from None
