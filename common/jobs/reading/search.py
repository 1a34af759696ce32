"""Full-text search in transcripts.

A corrected sentence is found by the corrected text only. The index `sentences_search` contains every pair of adjacent
letters and every single letter of each sentence, combined with the tenant; the functions `search_folded` and
`search_grams` (migrations/sql) define them. `edits_search` does the same for corrected texts. Two Chinese characters,
for which trigrams are useless, are thus one look-up, and a common word costs a tenant only its own rows. Matches of the
index are then compared with the words of the query.
"""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Select, and_, exists, func, literal, or_, select, text, union_all
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

from common import ids
from common.db import Database, cursors
from common.errors import InvalidRequest
from common.jobs.reading.search_newest import newest_matches
from common.jobs.reading.sentences import in_place
from common.jobs.reading.words import folded, grams_of, in_time
from common.models import EditRow, JobRow, SentenceRow, SpeakerRow
from common.transcript.sentence_numbers import place_of

SNIPPET_WIDTH = 80
# The kind of its cursors, whose key is the number of a sentence.
CURSOR = "search"
# The expression of the index, letter by letter: another one would not be recognised.
GRAMS = func.search_grams(SentenceRow.tenant, SentenceRow.text, text("1"), type_=ARRAY(BigInteger))
EDIT_GRAMS = func.search_grams(EditRow.tenant, EditRow.text, text("1"), type_=ARRAY(BigInteger))
SPEAKER_NAME = (
    select(SpeakerRow.name)
    .where(
        SpeakerRow.job_id == SentenceRow.job_id,
        SpeakerRow.run == SentenceRow.run,
        SpeakerRow.number == SentenceRow.speaker,
    )
    .scalar_subquery()
    .label("speaker_name")
)
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
    speaker: int | None
    speaker_name: str | None
    start_ms: int
    end_ms: int
    text: str
    matches: tuple[tuple[int, int], ...]

    @property
    def transcription_id(self) -> str:
        """The job's id in the form that the API shows."""
        return ids.shown(ids.JOB, self.job_id)

    @property
    def snippet(self) -> str:
        """The part of a long sentence around its first match."""
        if len(self.text) <= SNIPPET_WIDTH:
            return self.text
        first, behind = self.matches[0] if self.matches else (0, 0)
        start = max(0, min(first - (SNIPPET_WIDTH - (behind - first)) // 2, len(self.text) - SNIPPET_WIDTH))
        end = start + SNIPPET_WIDTH
        return ("…" if start else "") + self.text[start:end] + ("…" if end < len(self.text) else "")


@dataclass(frozen=True, slots=True)
class Hits:
    """Some sentences, those of the newest jobs first.

    `next_cursor`: where to continue; None if there are no more. `capped`: only the newest sentences were searched.
    """

    hits: tuple[Hit, ...]
    next_cursor: str | None
    capped: bool = False


def search(database: Database, query: str, *, tenant: str, after: str | None = None, limit: int = 20) -> Hits:
    """Return the sentences of a tenant's transcripts that contain all words of the query.

    Words are separated by white space and match inside longer words; case and full-width forms are ignored. Raises
    InvalidRequest for a query without letters or digits, for one that matches too many sentences to search in time, and
    for an invalid cursor.
    """
    position = _decoded(after) if after is not None else None
    with database.transaction() as session, in_time(session, "q"):
        words = folded(session, query)
        grams, has_pairs = grams_of(session, tenant, words, "q")
        rows: Sequence[Any]
        if has_pairs:
            rows, capped = session.execute(_statement(tenant, words, grams, position).limit(limit + 1)).all(), False
        else:
            rows, capped = newest_matches(session, tenant, words, position, limit + 1)
    hits = tuple(
        Hit(
            job_id=row.job_id,
            job_name=row.job_name,
            job_created_at=row.created_at,
            number=row.number,
            channel=row.channel,
            speaker=row.speaker,
            speaker_name=row.speaker_name,
            start_ms=row.start_ms,
            end_ms=row.end_ms,
            text=row.text,
            matches=_matches(row.text, words),
        )
        for row in rows[:limit]
    )
    if len(rows) <= limit:
        return Hits(hits, None, capped)
    return Hits(hits, cursors.encoded_key(CURSOR, hits[-1].number, hits[-1].job_id), capped)


def _statement(tenant: str, words: list[str], grams: list[int], position: tuple[uuid.UUID, int] | None) -> Select[Any]:
    """Select the matches in uncorrected sentences and in corrections."""
    needed = literal(grams, ARRAY(BigInteger))
    corrected = exists().where(SAME_SENTENCE, EditRow.text.is_not(None))
    recognised = _found(SentenceRow.text, tenant, words, position).where(GRAMS.contains(needed), ~corrected)
    edited = _found(EditRow.text, tenant, words, position).join(EditRow, SAME_SENTENCE)
    matches = union_all(recognised, edited.where(EDIT_GRAMS.contains(needed))).subquery()
    return select(matches).order_by(matches.c.job_id.desc(), in_place(matches.c.number))


def _found(
    content: InstrumentedAttribute[Any], tenant: str, words: list[str], position: tuple[uuid.UUID, int] | None
) -> Select[Any]:
    statement = select(
        SentenceRow.job_id,
        func.coalesce(JobRow.name, JobRow.source_name).label("job_name"),
        JobRow.created_at,
        SentenceRow.number,
        SentenceRow.channel,
        SentenceRow.speaker,
        SPEAKER_NAME,
        SentenceRow.start_ms,
        SentenceRow.end_ms,
        content.label("text"),
    ).join(JobRow, and_(JobRow.id == SentenceRow.job_id, JobRow.run == SentenceRow.run, JobRow.tenant == tenant))
    for word in words:
        statement = statement.where(func.strpos(func.search_folded(content), word) > 0)
    if position is not None:
        job_id, number = position
        behind = or_(SentenceRow.job_id < job_id, in_place(SentenceRow.number) > place_of(number))
        statement = statement.where(SentenceRow.job_id <= job_id, behind)
    return statement


def _matches(content: str, words: list[str]) -> tuple[tuple[int, int], ...]:
    """Return the matches in text order, without those that begin inside another."""
    folded: list[str] = []
    places: list[int] = []  # index of the sentence's letter from which each folded letter comes
    for place, letter in enumerate(content):
        for part in unicodedata.normalize("NFKC", letter).lower():
            folded.append(part)
            places.append(place)
    flat = "".join(folded)
    spans: list[tuple[int, int]] = []
    for word in words:
        start = flat.find(word)
        while start >= 0:
            spans.append((places[start], places[start + len(word) - 1] + 1))
            start = flat.find(word, start + len(word))
    apart: list[tuple[int, int]] = []
    for first, behind in sorted(spans):
        if not apart or first >= apart[-1][1]:
            apart.append((first, behind))
    return tuple(apart)


def _decoded(cursor: str) -> tuple[uuid.UUID, int]:
    number, job_id = cursors.decoded_key(cursor, CURSOR, int)
    if not 0 <= number < 2**31:
        raise InvalidRequest(cursors.INVALID)
    return job_id, number
