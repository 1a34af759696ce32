"""What people made of a sentence, one revision after another."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select, union_all

from common.db import Database
from common.jobs.job import Job
from common.jobs.reading.sentences import sentence
from common.models import EarlierEditRow, EditRow

TABLES: tuple[type[EarlierEditRow] | type[EditRow], ...] = (EarlierEditRow, EditRow)
COLUMNS = ("revision", "text", "confirmed", "change", "key_id", "edited_at")


@dataclass(frozen=True, slots=True)
class Structure:
    """How a sentence was split or merged: with which other, and for `merged` where the other begins."""

    kind: Literal["split", "split_off", "merged"]
    other: int
    at_word: int | None = None
    at_character: int | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """A change of a sentence: its text, and before that, and the places of the words that were confirmed by then.

    `text_before` is None if it is not kept, and for a sentence that was split off another. `structure` says what was
    split or merged (`common.jobs.reading.structure`); None for other changes.
    """

    revision: int
    text: str
    text_before: str | None
    confirmed: tuple[int, ...]
    edited_at: datetime
    key_id: uuid.UUID | None
    structure: Structure | None = None


def history(database: Database, job: Job, number: int) -> list[Revision]:
    """Return the revisions of a sentence that are kept, the newest first. Raises NotFound."""
    now = sentence(database, job, number)
    recognised = now.machine_text
    of_table = [
        select(*(getattr(table, name) for name in COLUMNS)).where(
            table.job_id == job.id, table.run == job.run, table.number == number
        )
        for table in TABLES
    ]
    with database.transaction() as session:
        rows = session.execute(union_all(*of_table).order_by("revision")).all()
    return list(_revisions(rows, recognised))[::-1]


def _revisions(rows: Sequence[Any], recognised: str) -> Iterator[Revision]:
    """Yield the revisions of rows in their order."""
    before = recognised if rows and rows[0].revision == 1 else None
    for row in rows:
        text = recognised if row.text is None else row.text
        structure = Structure(**row.change) if row.change is not None else None
        if structure is not None and structure.kind == "split_off":
            before = None
        if row.revision > 0:
            confirmed = tuple(row.confirmed or ())
            yield Revision(row.revision, text, before, confirmed, row.edited_at, row.key_id, structure)
        before = text  # revisions that are missing between two are confirmations, which have the text before them
