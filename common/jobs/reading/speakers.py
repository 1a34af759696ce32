"""Speakers of a transcript as people see and correct them: names, one speaker taken for two, a sentence given away.

Only transcripts of completed jobs can be changed: before that, sentences have no speakers. Changes of one transcript
lock all of its speakers, so that the totals stay right.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, ColumnElement, case, delete, func, select, update
from sqlalchemy.orm import Session

from common.db import Database
from common.errors import NoSpeakers, NotFound
from common.jobs.job import Job
from common.jobs.reading.read import sentence
from common.models import SentenceRow, SpeakerRow
from common.transcript.values import Sentence, Speaker


def speakers(database: Database, job: Job) -> tuple[Speaker, ...] | None:
    """Return the speakers of a job's current run, by number; None if it does not tell speakers apart."""
    if not job.options.speakers:
        return None
    with database.transaction() as session:
        return _speakers(session, job)


def name_speaker(database: Database, job: Job, number: int, name: str | None) -> tuple[Speaker, ...]:
    """Give a speaker a name, or take it away with None; returns all speakers. Raises NoSpeakers, NotFound."""
    with database.transaction() as session:
        _held(session, job, number)
        session.execute(update(SpeakerRow).where(_of(job), SpeakerRow.number == number).values(name=name))
        return _speakers(session, job)


def merge_speakers(database: Database, job: Job, number: int, into: int) -> tuple[Speaker, ...]:
    """Give all sentences of one speaker to another, and remove it; returns the speakers that are left.

    The other keeps its name or, if it has none, takes that of the removed one. Raises NoSpeakers, NotFound.
    """
    with database.transaction() as session:
        held = _held(session, job, number, into)
        removed, kept = held[number], held[into]
        if number != into:
            spoken = (SentenceRow.job_id == job.id, SentenceRow.run == job.run, SentenceRow.speaker == number)
            session.execute(update(SentenceRow).where(*spoken).values(speaker=into))
            changes = {"name": kept.name or removed.name, "speech_ms": kept.speech_ms + removed.speech_ms}
            session.execute(update(SpeakerRow).where(_of(job), SpeakerRow.number == into).values(**changes))
            session.execute(delete(SpeakerRow).where(_of(job), SpeakerRow.number == number))
        return _speakers(session, job)


def assign_sentence(database: Database, job: Job, number: int, speaker: int) -> Sentence:
    """Give a sentence to a speaker; returns the sentence. Raises NoSpeakers, and NotFound for either."""
    with database.transaction() as session:
        _held(session, job, speaker)
        place = (SentenceRow.job_id == job.id, SentenceRow.run == job.run, SentenceRow.number == number)
        row = session.execute(
            select(SentenceRow.speaker, SentenceRow.end_ms - SentenceRow.start_ms).where(*place).with_for_update()
        ).one_or_none()
        if row is None:
            raise NotFound(f"{job.public_id} has no sentence {number}")
        before, length_ms = row
        session.execute(update(SentenceRow).where(*place).values(speaker=speaker))
        moved = case((SpeakerRow.number == speaker, length_ms), else_=-length_ms)
        if before != speaker:
            total = func.greatest(SpeakerRow.speech_ms + moved, 0).cast(BigInteger)
            both = [item for item in (before, speaker) if item is not None]
            session.execute(update(SpeakerRow).where(_of(job), SpeakerRow.number.in_(both)).values(speech_ms=total))
    return sentence(database, job, number)


def _of(job: Job) -> ColumnElement[bool]:
    return (SpeakerRow.job_id == job.id) & (SpeakerRow.run == job.run)


def _speakers(session: Session, job: Job) -> tuple[Speaker, ...]:
    columns = (SpeakerRow.number, SpeakerRow.name, SpeakerRow.speech_ms)
    return tuple(Speaker(*row) for row in session.execute(select(*columns).where(_of(job)).order_by(SpeakerRow.number)))


def _held(session: Session, job: Job, *numbers: int) -> dict[int, Speaker]:
    """Lock all speakers of a job; returns them by number.

    Raises NoSpeakers, and NotFound if any of `numbers` is not among them.
    """
    if not job.options.speakers:
        raise NoSpeakers(f"{job.public_id} was submitted without speaker diarization")
    session.execute(select(SpeakerRow.number).where(_of(job)).order_by(SpeakerRow.number).with_for_update())
    found = {item.number: item for item in _speakers(session, job)}
    for number in numbers:
        if number not in found:
            raise NotFound(f"{job.public_id} has no speaker {number}")
    return found
