"""Vocabularies: words that a tenant keeps for its transcriptions.

Vocabularies of other tenants are treated as missing.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, update
from sqlalchemy.orm import Session

from common import ids, named_rows
from common.db import Database
from common.errors import TooManyVocabularies, VocabularyChanged, VocabularyNameTaken
from common.models import VocabularyRow
from common.options.transcription import TranscriptionOptions, WordLists
from common.transcript import hotwords

MAX_VOCABULARIES = 100
MAX_WORDS = 1000


@dataclass(frozen=True, slots=True)
class VocabularySummary:
    """A vocabulary without its words; `revision` counts the changes from 1."""

    id: uuid.UUID
    created_at: datetime
    updated_at: datetime
    name: str
    revision: int
    hotword_count: int
    masked_word_count: int

    @property
    def public_id(self) -> str:
        """The public id of the vocabulary."""
        return ids.shown(ids.VOCABULARY, self.id)


@dataclass(frozen=True, slots=True)
class Vocabulary(VocabularySummary):
    """A vocabulary; hotwords are as `common.transcript.hotwords.parsed` reads them."""

    hotwords: tuple[str, ...]
    masked_words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VocabularyPage:
    """A page of vocabularies, newest first, and the cursor of the next page; None if this is the last page."""

    vocabularies: tuple[VocabularySummary, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class VocabularyChange:
    """Changes to a vocabulary; None leaves a field unchanged. `revision`: the one that the caller has read."""

    name: str | None = None
    hotwords: Sequence[str] | None = None
    masked_words: Sequence[str] | None = None
    revision: int | None = None


def applied(vocabulary: Vocabulary, options: TranscriptionOptions) -> tuple[TranscriptionOptions, WordLists]:
    """Return the options of a job with this vocabulary, and all words that apply to the job.

    Where the job's own words contradict the vocabulary, they win.
    """
    options = replace(options, vocabulary_id=vocabulary.public_id, vocabulary_revision=vocabulary.revision)
    masked = tuple(sorted({*options.masked_words, *vocabulary.masked_words}))
    return options, WordLists(hotwords.merged(options.hotwords, vocabulary.hotwords), masked)


def create(
    database: Database, *, tenant: str, name: str, hotwords: Sequence[str] = (), masked_words: Sequence[str] = ()
) -> Vocabulary:
    """Create a vocabulary. Raises TooManyVocabularies, VocabularyNameTaken."""
    with database.transaction() as session:
        named_rows.lock(session, VocabularyRow, tenant)
        if named_rows.number_of(session, VocabularyRow, tenant) >= MAX_VOCABULARIES:
            raise TooManyVocabularies(f"the limit of {MAX_VOCABULARIES} vocabularies is reached; delete one first")
        _check_free(session, tenant, name)
        values = {"hotwords": _distinct(hotwords), "masked_words": _distinct(masked_words)}
        statement = insert(VocabularyRow).values(id=ids.new_id(), tenant=tenant, name=name, **values)
        return _vocabulary_of(session.scalars(statement.returning(VocabularyRow)).one())


def get(database: Database, vocabulary_id: uuid.UUID, *, tenant: str) -> Vocabulary:
    """Return a vocabulary. Raises NotFound."""
    with database.transaction() as session:
        row = session.get(VocabularyRow, vocabulary_id)
        if row is None or row.tenant != tenant:
            raise ids.missing(ids.VOCABULARY, vocabulary_id)
        return _vocabulary_of(row)


def page(database: Database, *, tenant: str, after: str | None = None, limit: int = 20) -> VocabularyPage:
    """Return a page of a tenant's vocabularies, newest first. Raises InvalidRequest for an invalid cursor."""
    columns = [getattr(VocabularyRow, name) for name in ("id", "created_at", "updated_at", "name", "revision")]
    counts = [func.cardinality(VocabularyRow.hotwords), func.cardinality(VocabularyRow.masked_words)]
    statement = named_rows.newest(VocabularyRow, tenant, after, limit, *columns, *counts)
    with database.transaction() as session:
        found = [VocabularySummary(*row) for row in session.execute(statement)]
    return VocabularyPage(*named_rows.cut(found, limit))


def change(database: Database, vocabulary_id: uuid.UUID, changes: VocabularyChange, *, tenant: str) -> Vocabulary:
    """Change a vocabulary; jobs submitted before keep the old words. Raises NotFound, VocabularyNameTaken.

    Raises VocabularyChanged if the caller has not read its newest revision.
    """
    values: dict[str, Any] = {} if changes.name is None else {"name": changes.name}
    for field in ("hotwords", "masked_words"):
        listed = getattr(changes, field)
        if listed is not None:
            values[field] = _distinct(listed)
    with database.transaction() as session:
        named_rows.lock(session, VocabularyRow, tenant)
        row = session.get(VocabularyRow, vocabulary_id)
        if row is None or row.tenant != tenant:
            raise ids.missing(ids.VOCABULARY, vocabulary_id)
        if changes.revision not in (None, row.revision):
            raise VocabularyChanged(f"revision {changes.revision} was changed meanwhile; it is {row.revision} now")
        if changes.name not in (None, row.name):
            _check_free(session, tenant, str(changes.name))
        values = {name: value for name, value in values.items() if value != getattr(row, name)}
        if not values:
            return _vocabulary_of(row)
        statement = update(VocabularyRow).where(VocabularyRow.id == vocabulary_id)
        statement = statement.values(**values, revision=VocabularyRow.revision + 1, updated_at=func.now())
        return _vocabulary_of(session.scalars(statement.returning(VocabularyRow)).one())


def remove(database: Database, vocabulary_id: uuid.UUID, *, tenant: str) -> None:
    """Delete a vocabulary; jobs that were submitted with it keep its words. Raises NotFound."""
    statement = delete(VocabularyRow).where(VocabularyRow.id == vocabulary_id, VocabularyRow.tenant == tenant)
    with database.transaction() as session:
        named_rows.lock(session, VocabularyRow, tenant)
        if session.scalar(statement.returning(VocabularyRow.id)) is None:
            raise ids.missing(ids.VOCABULARY, vocabulary_id)


def _check_free(session: Session, tenant: str, name: str) -> None:
    if named_rows.is_taken(session, VocabularyRow, tenant, name):
        raise VocabularyNameTaken(f"there is already a vocabulary named {name!r}")


def _distinct(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _vocabulary_of(row: VocabularyRow) -> Vocabulary:
    return Vocabulary(
        id=row.id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        name=row.name,
        revision=row.revision,
        hotword_count=len(row.hotwords),
        masked_word_count=len(row.masked_words),
        hotwords=tuple(row.hotwords),
        masked_words=tuple(row.masked_words),
    )
