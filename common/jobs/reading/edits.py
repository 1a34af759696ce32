"""Manual corrections, stored beside the machine's sentence, which stays unchanged.

An edit belongs to a sentence of one run and is deleted with it: with the job, with its result, or when a new run
begins. Only the newest text is kept; `revision` keeps counting, even when the machine's text is restored, so that
nobody unknowingly overwrites the work of another.
"""

from __future__ import annotations

import uuid

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.errors import EditConflict, NotFound
from common.jobs.job import Job
from common.jobs.reading.read import sentence
from common.models import EditRow, SentenceRow
from common.transcript.values import Sentence


def correct(
    database: Database,
    job: Job,
    number: int,
    content: str | None,
    *,
    seen: int | None = None,
    key_id: uuid.UUID | None = None,
) -> Sentence:
    """Replace a sentence's text with a person's or, with None, restore the machine's; returns the updated sentence.

    `seen` is the revision that the caller read, 0 for a sentence without edits; if the current one differs,
    EditConflict is raised. Writing the text that is already there changes nothing, so a request may be repeated. Raises
    NotFound.
    """
    with database.transaction() as session:
        machine_text = _held(session, job, number)
        before = session.get(EditRow, (job.id, job.run, number))
        revision = before.revision if before is not None else 0
        kept = None if content == machine_text else content
        if kept != (before.text if before is not None else None):
            if seen not in (None, revision):
                raise EditConflict(
                    f"the sentence is at revision {revision}, not {seen}: it was changed by someone else"
                )
            changes = {"text": kept, "revision": revision + 1, "key_id": key_id, "edited_at": func.now()}
            place = {"job_id": job.id, "run": job.run, "number": number, "tenant": job.tenant}
            added = insert(EditRow).values(**place, **changes)
            session.execute(added.on_conflict_do_update(constraint="edits_pkey", set_=changes))
    return sentence(database, job, number)


def _held(session: Session, job: Job, number: int) -> str:
    """Lock a sentence against other corrections (its worker is not blocked); returns the machine's text.

    Raises NotFound.
    """
    here = (SentenceRow.job_id == job.id, SentenceRow.run == job.run, SentenceRow.number == number)
    found = session.scalar(select(SentenceRow.text).where(*here).with_for_update(key_share=True))
    if found is None:
        raise NotFound(f"{job.public_id} has no sentence {number}")
    return found
