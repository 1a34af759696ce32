"""Manual corrections, stored beside the machine's sentence, which stays unchanged.

An edit is a text, words of the machine that a person has checked, or both. It belongs to a sentence of one run and is
deleted with it: with the job, with its result, or when a new run begins. Its earlier revisions are kept up to a number;
`revision` keeps counting, even when the machine's text is restored, so that nobody unknowingly overwrites the work of
another. Several sentences are corrected in one transaction: all or none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, any_, delete, func, literal, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from common import ids, summaries
from common.db import Database
from common.errors import EditConflict, InvalidRequest, NotFound
from common.jobs.job import Job
from common.jobs.lifecycle import earlier_edits
from common.jobs.reading.sentences import sentence
from common.models import EarlierEditRow, EditRow, MachineSentenceRow, SentenceRow
from common.transcript.realign import realigned
from common.transcript.sentence_numbers import begins_at
from common.transcript.values import Edit, Sentence, Word

ROWS_AT_A_TIME = 500
LETTERS_AT_A_TIME = 50_000
MOST_NAMED = 10
# Earlier texts of a sentence, and earlier confirmations; older ones are deleted.
KEPT_REVISIONS = 100
WRITTEN = ("text", "words", "confirmed", "change", "revision", "key_id")
HISTORY = ("job_id", "run", "number", "revision", "text", "confirmed", "change", "key_id", "edited_at")


@dataclass(frozen=True, slots=True)
class Correction:
    """A person's text for a sentence; None restores the machine's. With `keeps_text`, the text stays as it is.

    `confirmed` are the places of the machine's words that people have checked; None leaves those that are known.
    `seen` is the revision that the caller read, 0 for a sentence without edits; `machine_text` is the machine's text
    that the caller read: another sentence may have its number now, after a new run or once speakers are known.
    """

    number: int
    text: str | None
    seen: int | None = None
    machine_text: str | None = None
    confirmed: tuple[int, ...] | None = None
    keeps_text: bool = False


@dataclass(frozen=True, slots=True)
class Corrected:
    """A sentence's text after a correction; `edit` is None if nobody ever changed it."""

    number: int
    text: str
    edit: Edit | None


@dataclass(frozen=True, slots=True)
class _Held:
    """A locked sentence: the machine's text and words, and the newest edit."""

    recognised: str
    words: tuple[Word, ...]
    kept: str | None
    confirmed: tuple[int, ...]
    revision: int


def correct(
    database: Database,
    job: Job,
    number: int,
    content: str | None,
    *,
    seen: int | None = None,
    machine_text: str | None = None,
    key_id: uuid.UUID | None = None,
) -> Sentence:
    """Correct one sentence like `correct_all`; returns the updated sentence."""
    correct_all(database, job, [Correction(number, content, seen, machine_text)], key_id=key_id)
    return sentence(database, job, number)


def correct_all(
    database: Database, job: Job, corrections: Sequence[Correction], *, key_id: uuid.UUID | None = None
) -> list[Corrected]:
    """Correct sentences, all or none of them; returns what their texts are now, by number.

    Each sentence may be named once. If the current revision or recognised text of any differs from what its correction
    has seen, EditConflict is raised, with the first of these sentences as they are. Writing what is already there
    changes nothing, so a request may be repeated.
    Raises NotFound, and InvalidRequest for a word that is not there.
    """
    ordered = sorted(corrections, key=lambda item: item.number)
    corrected: list[Corrected] = []
    conflicts: list[str] = []
    current: list[Corrected] = []
    with database.transaction() as session:
        # Always in this order, so that two of these never wait for one another.
        for chunk in _chunks(ordered):
            held = _held(session, job, [item.number for item in chunk])
            found = {item.number: why for item in chunk if (why := _conflict(item, held[item.number]))}
            conflicts += found.values()
            named = {number: held[number] for number in list(found)[: MOST_NAMED - len(current)]}
            current += _corrected(session, job, named) if named else []
            if not conflicts:
                _write(session, job, [item for item in chunk if _changes(item, held[item.number])], held, key_id)
                corrected += _corrected(session, job, held)
        if conflicts:
            more = f" (and {len(conflicts) - MOST_NAMED} more)" if len(conflicts) > MOST_NAMED else ""
            raise EditConflict("; ".join(conflicts[:MOST_NAMED]) + more, current)
    return corrected


def _chunks(corrections: Iterable[Correction]) -> Iterator[list[Correction]]:
    """Yield corrections that are written together: the words of long texts take memory."""
    chunk: list[Correction] = []
    letters = 0
    for item in corrections:
        chunk.append(item)
        letters += len(item.text or "")
        if len(chunk) == ROWS_AT_A_TIME or letters >= LETTERS_AT_A_TIME:
            yield chunk
            chunk, letters = [], 0
    if chunk:
        yield chunk


def _wanted(correction: Correction, held: _Held) -> str | None:
    """Return the text to keep beside the machine's; None if it is the machine's."""
    if correction.keeps_text:
        return held.kept
    return None if correction.text == held.recognised else correction.text


def _confirmed(correction: Correction, held: _Held) -> tuple[int, ...]:
    """Return the places of the confirmed words, in order. Raises InvalidRequest."""
    if correction.confirmed is None:
        return held.confirmed
    places = tuple(sorted(set(correction.confirmed)))
    if places and places[-1] >= len(held.words):
        raise InvalidRequest(f"sentence {correction.number} has no word {places[-1]}: it has {len(held.words)}")
    return places


def _changes(correction: Correction, held: _Held) -> bool:
    return _wanted(correction, held) != held.kept or _confirmed(correction, held) != held.confirmed


def _conflict(correction: Correction, held: _Held) -> str | None:
    """Return why the caller has not seen the sentence as it is, if so."""
    seen = correction.seen if _changes(correction, held) else None
    return differs(correction.number, held.recognised, held.revision, seen, correction.machine_text)


def differs(number: int, recognised: str, revision: int, seen: int | None, machine_text: str | None) -> str | None:
    """Return how a sentence differs from what a caller has seen of it, if it does; None is not compared."""
    if machine_text not in (None, recognised):
        return f"sentence {number} is not the one that was read: the transcript has changed since"
    if seen not in (None, revision):
        return f"sentence {number} is at revision {revision}, not {seen}: it was changed by someone else"
    return None


def _write(
    session: Session, job: Job, changes: Sequence[Correction], held: dict[int, _Held], key_id: uuid.UUID | None
) -> None:
    written: list[dict[str, Any]] = []
    for item in changes:
        before = held[item.number]
        kept = _wanted(item, before)
        words = timed(kept, before.words) if kept is not None else None
        place = {"job_id": job.id, "run": job.run, "number": item.number, "tenant": job.tenant}
        confirmed = list(_confirmed(item, before)) or None
        changed = {"text": kept, "words": words, "confirmed": confirmed, "change": None}
        written.append(place | changed | {"revision": before.revision + 1, "key_id": key_id})
    if written:
        remember(session, job, {item.number: held[item.number].revision for item in changes})
        keep(session, written)
        if any(_wanted(item, held[item.number]) != held[item.number].kept for item in changes):
            summaries.mark_stale(session, job.id)


def keep(session: Session, written: Sequence[dict[str, Any]]) -> None:
    """Write the newest revisions of sentences."""
    added = insert(EditRow)
    renewed = {name: added.excluded[name] for name in WRITTEN} | {"edited_at": func.now()}
    session.execute(added.on_conflict_do_update(constraint="edits_pkey", set_=renewed), written)


def remember(session: Session, job: Job, revisions: Mapping[int, int]) -> None:
    """Keep edits that are about to be replaced, by their sentences' numbers, and forget those that are too old."""
    _remember(session, job, list(revisions))
    _forget(session, job, [number for number, revision in revisions.items() if revision > KEPT_REVISIONS])


def _remember(session: Session, job: Job, numbers: Sequence[int]) -> None:
    """Keep edits that are about to be replaced."""
    newest = select(*(getattr(EditRow, name) for name in HISTORY)).where(_among(EditRow, job, numbers))
    session.execute(insert(EarlierEditRow).from_select(HISTORY, newest))


def _forget(session: Session, job: Job, numbers: Sequence[int]) -> None:
    """Delete the revisions that are no longer kept."""
    if not numbers:
        return
    theirs = _among(EarlierEditRow, job, numbers)
    kept = earlier_edits.newest(theirs, KEPT_REVISIONS)
    old = tuple_(EarlierEditRow.number, EarlierEditRow.revision).not_in(kept)
    session.execute(delete(EarlierEditRow).where(theirs, old).execution_options(synchronize_session=False))


def timed(content: str, words: tuple[Word, ...]) -> list[list[Any]]:
    """Return the stored form of the words of a corrected text, so that no reader has to align them again."""
    timed = realigned(content, words)
    return [[word.text, word.start_ms, word.end_ms, round(word.confidence, 4)] for word in timed]


def lock(session: Session, job: Job, numbers: Sequence[int], *, deleted: bool = False) -> list[Any]:
    """Lock sentences against other corrections (their worker is not blocked); returns number, text and words of each.

    `deleted`: some of them may be deleted. Raises NotFound, and EditConflict for one that is part of another by now.
    """
    spoken = select(SentenceRow.number, SentenceRow.text, SentenceRow.words).where(_among(SentenceRow, job, numbers))
    # Always in this order, so that two of these never wait for one another.
    rows = session.execute(spoken.order_by(SentenceRow.number).with_for_update(key_share=not deleted)).all()
    missing = sorted(set(numbers) - {row.number for row in rows})
    if missing:
        machine = begins_at(missing[0])[0]
        if session.scalar(select(MachineSentenceRow.number).where(_among(MachineSentenceRow, job, [machine]))) is None:
            raise NotFound(f"{job.public_id} has no sentence {missing[0]}")
        raise EditConflict(f"sentence {missing[0]} is part of another one by now")
    return list(rows)


def _held(session: Session, job: Job, numbers: Sequence[int]) -> dict[int, _Held]:
    """Lock sentences; returns them by number. Raises NotFound, EditConflict."""
    rows = lock(session, job, numbers)
    # Only now: the edits of the transaction that held the locks before are written.
    edits = {edit.number: edit for edit in session.execute(_edits(job, numbers))}
    return {
        number: _Held(
            text,
            tuple(Word(*word) for word in words),
            edits[number].text if number in edits else None,
            tuple(edits[number].confirmed or ()) if number in edits else (),
            edits[number].revision if number in edits else 0,
        )
        for number, text, words in rows
    }


def _corrected(session: Session, job: Job, held: dict[int, _Held]) -> Iterable[Corrected]:
    edits = {edit.number: edit for edit in session.execute(_edits(job, list(held)))}
    for number, before in held.items():
        edit = edits.get(number)
        if edit is None:
            yield Corrected(number, before.recognised, None)
            continue
        by = ids.shown(ids.KEY, edit.key_id) if edit.key_id is not None else None
        shown = Edit(edit.text, before.recognised, edit.revision, edit.edited_at, by)
        yield Corrected(number, before.recognised if edit.text is None else edit.text, shown)


def _edits(job: Job, numbers: Sequence[int]) -> Any:
    columns = (EditRow.number, EditRow.text, EditRow.confirmed, EditRow.revision, EditRow.key_id, EditRow.edited_at)
    return select(*columns).where(_among(EditRow, job, numbers))


def _among(
    table: type[EarlierEditRow | EditRow | MachineSentenceRow | SentenceRow], job: Job, numbers: Sequence[int]
) -> ColumnElement[bool]:
    return (
        (table.job_id == job.id)
        & (table.run == job.run)
        & (table.number == any_(literal(list(numbers), ARRAY(Integer))))
    )
