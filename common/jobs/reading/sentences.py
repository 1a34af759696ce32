"""Reads transcripts; nothing here changes a row.

Sentences are ordered by the places that their numbers stand for (`common.transcript.sentence_numbers`): those of the
machine and those that people split off are two ranges of numbers, which are read side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Integer,
    Row,
    Select,
    Table,
    bindparam,
    case,
    column,
    false,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy import (
    cast as as_type,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from common import ids
from common.db import Database
from common.errors import NotFound
from common.jobs.job import Job
from common.jobs.reading.read import check_kept
from common.models import EditRow, MachineSentenceRow, SentenceRow, as_recognised
from common.transcript.sentence_numbers import FIRST_SPLIT_OFF, LAST_SPLIT_OFF, WORDS_PER_SENTENCE, begins_at, place_of
from common.transcript.values import Edit, Sentence, Word, tags_of

SENTENCES_AT_A_TIME = 200
SPOKEN = cast(Table, SentenceRow.__table__)
MACHINE = cast(Table, MachineSentenceRow.__table__)
EDITS = cast(Table, EditRow.__table__)
COLUMNS = ("number", "text", "start_ms", "end_ms", "confidence", "words", "channel", "speaker", "spoken", "tags")
# Constants are no parameters, so that plans know them.
_SPLIT_OFF: ColumnElement[int] = literal_column(str(FIRST_SPLIT_OFF))
_PER_SENTENCE: ColumnElement[int] = literal_column(str(WORDS_PER_SENTENCE))
_LIMIT = bindparam("limit", type_=Integer)


def in_place(number: ColumnElement[int] | InstrumentedAttribute[int]) -> ColumnElement[int]:
    """Return `place_of` of a column of numbers."""
    big = as_type(number, BigInteger)
    return case((number < _SPLIT_OFF, big * _PER_SENTENCE), else_=big - _SPLIT_OFF)


# The same for SQL with a column named "number".
IN_PLACE = str(in_place(column("number", Integer)))


def _some(table: Table, *conditions: ColumnElement[bool], kept: ColumnElement[bool]) -> Select[Any]:
    """Select the first sentences of a range of numbers; `kept`: whether their edits are theirs."""
    return (
        select(table.c.job_id, table.c.run, *(table.c[name] for name in COLUMNS), kept.label("kept"))
        .where(table.c.job_id == bindparam("id"), table.c.run == bindparam("run"), *conditions)
        .order_by(table.c.number)
        .limit(_LIMIT)
    )


def _page(*ranges: Select[Any], edited_words: bool) -> Select[Any]:
    """Select the first sentences of all ranges with their edits, in order."""
    found = union_all(*(select(*some.subquery().c) for some in ranges)).subquery()
    page = select(*found.c).order_by(in_place(found.c.number)).limit(_LIMIT).subquery()
    same = (EDITS.c.job_id == page.c.job_id) & (EDITS.c.run == page.c.run) & (EDITS.c.number == page.c.number)
    names = ("confirmed", "revision", "key_id", "edited_at")
    columns = [EDITS.c.text.label("edited_text"), *(EDITS.c[name] for name in names)]
    # Long corrections have a megabyte of words, which only subtitles need.
    columns += [EDITS.c.words.label("edited_words")] if edited_words else []
    # The limit keeps PostgreSQL from scanning all edits of a job.
    edit: FromClause = select(*columns).where(same, page.c.kept).limit(literal_column("1")).lateral()
    joined = page.outerjoin(edit, true())
    shown = [page.c[name] for name in COLUMNS]
    return select(*shown, *edit.c).select_from(joined).order_by(in_place(page.c.number))


_KEPT, _REPLACED = true(), false()
_OF_MACHINE = (SPOKEN.c.number > bindparam("number")) & (SPOKEN.c.number < _SPLIT_OFF)
_RANGES = (
    _some(SPOKEN, _OF_MACHINE, kept=_KEPT),
    _some(SPOKEN, SPOKEN.c.number > bindparam("split_off"), kept=_KEPT),
)
# Built once: building a statement takes longer than the database needs to run it.
SENTENCES = _page(*_RANGES, edited_words=True)
SENTENCES_WITHOUT_EDITED_WORDS = _page(*_RANGES, edited_words=False)
_FIRST_SPOKEN = _RANGES[0].subquery()
MACHINE_SENTENCES = _page(
    # Those that are not as recognised are left out of the page only: their machine's sentences take the same places.
    select(*_FIRST_SPOKEN.c).where(as_recognised(_FIRST_SPOKEN)),
    _some(MACHINE, MACHINE.c.number > bindparam("number"), kept=_REPLACED),
    edited_words=True,
)


def sentences(database: Database, job: Job, *, machine: bool = False, after: int = -1) -> Iterator[Sentence]:
    """Iterate over the sentences of a job's current run after a place, in order, fetched a few hundred at a time.

    Returns the corrected text or, with `machine`, the recognized text in the machine's sentences. No connection is held
    between two fetches, so a slow reader blocks nobody. Raises NotFound, Expired or NotReady if the sentences were
    deleted meanwhile, so that nobody takes the first of them for the transcript.
    """
    reached = after
    while sentences := sentences_after(database, job, reached, machine=machine):
        yield from sentences
        reached = last_number(sentences)
        if len(sentences) < SENTENCES_AT_A_TIME:
            return
    # Sentences are deleted all at once. So only an empty fetch may be something else than the end.
    check_kept(database, job)


def sentences_after(
    database: Database,
    job: Job,
    number: int,
    *,
    limit: int = SENTENCES_AT_A_TIME,
    machine: bool = False,
    edited_words: bool = True,
) -> list[Sentence]:
    """Return up to `limit` sentences after the place of a number, -1 for the beginning; empty at the (current) end.

    Without `edited_words`, edits have no words, and take less memory. With `machine`, see `sentences`.
    """
    with database.transaction() as session:
        return read_after(session, job, number, limit=limit, machine=machine, edited_words=edited_words)


def read_after(
    session: Session, job: Job, number: int, *, limit: int, machine: bool = False, edited_words: bool = True
) -> list[Sentence]:
    """Read sentences like `sentences_after`, in a transaction."""
    statement = MACHINE_SENTENCES if machine else SENTENCES if edited_words else SENTENCES_WITHOUT_EDITED_WORDS
    # Behind the last sentence that can be split, no column of 32 bits has such a number.
    split_off = min(FIRST_SPLIT_OFF + max(place_of(number), -1), LAST_SPLIT_OFF)
    after = {"number": begins_at(number)[0], "split_off": split_off}
    rows = session.execute(statement, {"id": job.id, "run": job.run, "limit": limit} | after)
    return [_sentence_of(row, machine=machine) for row in rows]


def last_number(sentences: Sequence[Sentence]) -> int:
    """Return the number of the last of stored sentences, to read on from there."""
    number = sentences[-1].number
    assert number is not None
    return number


def sentence(database: Database, job: Job, number: int) -> Sentence:
    """Return one sentence of a job's current run. Raises NotFound."""
    sentences = sentences_after(database, job, before(number), limit=1) if number >= 0 else []
    if not sentences or sentences[0].number != number:
        raise NotFound(f"{job.public_id} has no sentence {number}")
    return sentences[0]


def before(number: int) -> int:
    """Return the number of the place just before that of another, whether or not a sentence begins there."""
    return max(-1, place_of(number) - 1 + FIRST_SPLIT_OFF) if number else -1


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
        number=row.number,
        tags=tags_of(row.tags),
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
