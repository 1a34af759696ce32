"""What people correct: kept beside the machine's sentence, which stays as it is.

An edit belongs to a sentence of one run. It goes wherever its sentence goes: with the job, with its result, with a
run that begins anew. Kept is the newest text only; `revision` goes on counting, also over a way back to the
machine's text, so that nobody undoes the work of another unseen.
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
    """Put a person's text in the place of a sentence's, or with None the machine's back; the sentence as it is now.

    `seen` is the revision that the person saw, 0 for a sentence that nobody changed; where another one is there now,
    EditConflict is raised. The text that is there already changes nothing, so that a request may be repeated.
    Raises NotFound.
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
    """The machine's text of a sentence; who else corrects it waits, its worker does not. Raises NotFound."""
    here = (SentenceRow.job_id == job.id, SentenceRow.run == job.run, SentenceRow.number == number)
    found = session.scalar(select(SentenceRow.text).where(*here).with_for_update(key_share=True))
    if found is None:
        raise NotFound(f"{job.public_id} has no sentence {number}")
    return found
