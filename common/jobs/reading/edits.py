"""Manual corrections, stored beside the machine's sentence, which stays unchanged.

An edit belongs to a sentence of one run and is deleted with it: with the job, with its result, or when a new run
begins. Only the newest text is kept; `revision` keeps counting, even when the machine's text is restored, so that
nobody unknowingly overwrites the work of another.
"""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.errors import EditConflict, NotFound
from common.jobs.job import Job
from common.jobs.reading.read import sentence
from common.models import EditRow, SentenceRow
from common.transcript.realign import realigned
from common.transcript.values import Sentence, Word


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
    """Replace a sentence's text with a person's or, with None, restore the machine's; returns the updated sentence.

    `seen` is the revision that the caller read, 0 for a sentence without edits; `machine_text` is the machine's text
    that the caller read: another sentence may have its number now, after a new run or once speakers are known. If the
    current one differs, EditConflict is raised. Writing the text that is already there changes nothing, so a request
    may be repeated. Raises NotFound.
    """
    with database.transaction() as session:
        recognised, words = _held(session, job, number)
        if machine_text not in (None, recognised):
            raise EditConflict(f"sentence {number} is not the one that was read: the transcript has changed since")
        before = session.get(EditRow, (job.id, job.run, number))
        revision = before.revision if before is not None else 0
        kept = None if content == recognised else content
        if kept != (before.text if before is not None else None):
            if seen not in (None, revision):
                raise EditConflict(
                    f"the sentence is at revision {revision}, not {seen}: it was changed by someone else"
                )
            changes = {
                "text": kept,
                "words": _timed(kept, words) if kept is not None else None,
                "revision": revision + 1,
                "key_id": key_id,
                "edited_at": func.now(),
            }
            place = {"job_id": job.id, "run": job.run, "number": number, "tenant": job.tenant}
            added = insert(EditRow).values(**place, **changes)
            session.execute(added.on_conflict_do_update(constraint="edits_pkey", set_=changes))
    return sentence(database, job, number)


def _timed(content: str, words: tuple[Word, ...]) -> list[list[Any]]:
    """Return the stored form of the words of a corrected text, so that no reader has to align them again."""
    timed = realigned(content, words)
    return [[word.text, word.start_ms, word.end_ms, round(word.confidence, 4)] for word in timed]


def _held(session: Session, job: Job, number: int) -> tuple[str, tuple[Word, ...]]:
    """Lock a sentence against other corrections (its worker is not blocked); returns the machine's text and words.

    Raises NotFound.
    """
    here = (SentenceRow.job_id == job.id, SentenceRow.run == job.run, SentenceRow.number == number)
    locked = select(SentenceRow.text, SentenceRow.words).where(*here).with_for_update(key_share=True)
    row = session.execute(locked).one_or_none()
    if row is None:
        raise NotFound(f"{job.public_id} has no sentence {number}")
    return row.text, tuple(Word(*word) for word in row.words)
