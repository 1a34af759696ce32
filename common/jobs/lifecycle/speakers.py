"""Speakers at the end of a run: reads the embeddings of its parts, and writes the speakers with the last part.

While a job runs, its sentences have no speakers. At the end they may be cut where the speaker changes, so all of them
are numbered anew, in the transaction that completes the job. A sentence that somebody has already corrected is not
cut; its correction moves to its new number, with the newest of its history.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import voices
from common.db import Database
from common.jobs.job import Job
from common.jobs.lifecycle import earlier_edits
from common.jobs.lifecycle.attempts import sentence_values
from common.jobs.lifecycle.claims import Claim
from common.models import EarlierEditRow, EditRow, SentenceRow, SpeakerRow, SpeakerWindowsRow
from common.transcript.text_rules import as_spoken
from common.transcript.values import Sentence, joined_text
from common.voices import Heard, Place

ROWS_AT_A_TIME = 1_000
# Earlier texts, and confirmations, that move with a sentence: thousands of long histories would fill a worker.
MOVED_REVISIONS = 10
CORRECTION = ("tenant", "text", "words", "confirmed", "revision", "key_id", "edited_at")
EARLIER = ("revision", "text", "confirmed", "key_id", "edited_at")


@dataclass(frozen=True, slots=True)
class Attributed:
    """What became of each sentence of a run, in order: itself with its speaker, or the sentences it was cut into.

    `heard` are the voices of the speakers, None if they are not to be compared with known ones; those that are like one
    by `least_similarity` get its name.
    """

    sentences: Sequence[Sequence[Sentence]]
    heard: Heard | None = None
    least_similarity: float = 1.0


def speaker_windows(database: Database, held: Claim) -> list[bytes]:
    """Return the embeddings of the committed parts of the run, in order."""
    statement = (
        select(SpeakerWindowsRow.windows)
        .where(SpeakerWindowsRow.job_id == held.job.id, SpeakerWindowsRow.run == held.job.run)
        .order_by(SpeakerWindowsRow.part)
    )
    with database.transaction() as session:
        return list(session.scalars(statement))


def write_speakers(session: Session, held: Claim, attributed: Attributed) -> None:
    """Replace all sentences of the run by those with speakers, and write the speakers."""
    ours = (held.job.id, held.job.run)
    # A correction that waits for this lock finds its sentence gone; later ones find the new numbers.
    locked = select(SentenceRow.number).where(SentenceRow.job_id == ours[0], SentenceRow.run == ours[1])
    session.execute(locked.order_by(SentenceRow.number).with_for_update())
    edits = {edit.number: edit for edit in session.execute(_edits(*ours))}
    earlier = session.execute(_earlier(*ours)).all()
    places: dict[int, int] = {}
    sentences: list[Sentence] = []
    moved: list[dict[str, Any]] = []
    for number, pieces in enumerate(attributed.sentences):
        edit = edits.get(number)
        if edit is not None:
            correction = {name: getattr(edit, name) for name in CORRECTION}
            moved.append({"job_id": ours[0], "run": ours[1], "number": len(sentences), **correction})
            places[number] = len(sentences)
        sentences += pieces if edit is None else [whole(pieces)]
    session.execute(delete(SentenceRow).where(SentenceRow.job_id == ours[0], SentenceRow.run == ours[1]))
    for start in range(0, len(sentences), ROWS_AT_A_TIME):
        chunk = sentences[start : start + ROWS_AT_A_TIME]
        session.execute(insert(SentenceRow), [sentence_values(held, start + i, item) for i, item in enumerate(chunk)])
    if moved:
        session.execute(insert(EditRow), moved)
    if earlier:
        history = [_moved(row, held, places[row.number]) for row in earlier]
        for start in range(0, len(history), ROWS_AT_A_TIME):
            session.execute(insert(EarlierEditRow), history[start : start + ROWS_AT_A_TIME])
    _write_totals(session, held, sentences)
    if attributed.heard is not None:
        voices.keep(session, place_of(held.job), attributed.heard, attributed.least_similarity)


def place_of(job: Job) -> Place:
    """Return what the voice prints of a job's current run belong to."""
    return Place(job.id, job.run, job.tenant)


def _edits(job_id: uuid.UUID, run: int) -> Any:
    columns = (EditRow.number, *(getattr(EditRow, name) for name in CORRECTION))
    return select(*columns).where(EditRow.job_id == job_id, EditRow.run == run)


def _earlier(job_id: uuid.UUID, run: int) -> Any:
    columns = (EarlierEditRow.number, *(getattr(EarlierEditRow, name) for name in EARLIER))
    theirs = (EarlierEditRow.job_id == job_id) & (EarlierEditRow.run == run)
    place = tuple_(EarlierEditRow.number, EarlierEditRow.revision)
    return select(*columns).where(theirs, place.in_(earlier_edits.newest(theirs, MOVED_REVISIONS)))


def _moved(row: Any, held: Claim, number: int) -> dict[str, Any]:
    place = {"job_id": held.job.id, "run": held.job.run, "number": number}
    return place | {name: getattr(row, name) for name in EARLIER}


def whole(pieces: Sequence[Sentence]) -> Sentence:
    """The sentence that was cut into these pieces, given to the speaker with most of its words."""
    if len(pieces) == 1:
        return pieces[0]
    words = Counter[int | None]()
    for piece in pieces:
        words[piece.speaker] += len(piece.words)
    joined = tuple(word for piece in pieces for word in piece.words)
    text, spoken = joined_text(pieces), joined_text(as_spoken(piece) for piece in pieces)
    return replace(
        pieces[0],
        text=text,
        spoken=None if spoken == text else spoken,
        end_ms=pieces[-1].end_ms,
        confidence=sum(word.confidence for word in joined) / len(joined),
        words=joined,
        speaker=words.most_common(1)[0][0],
    )


def _write_totals(session: Session, held: Claim, sentences: Sequence[Sentence]) -> None:
    spoken: Counter[int] = Counter()
    for sentence in sentences:
        if sentence.speaker is not None:
            spoken[sentence.speaker] += sentence.end_ms - sentence.start_ms
    place = {"job_id": held.job.id, "run": held.job.run, "tenant": held.job.tenant}
    rows = [place | {"number": number, "speech_ms": spoken[number]} for number in sorted(spoken)]
    session.execute(delete(SpeakerRow).where(SpeakerRow.job_id == held.job.id, SpeakerRow.run == held.job.run))
    if rows:
        session.execute(insert(SpeakerRow), rows)
