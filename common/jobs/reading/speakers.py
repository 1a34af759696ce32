"""Speakers of a transcript as people see and correct them: names, one speaker taken for two, a sentence given away.

Only transcripts of completed jobs can be changed: before that, sentences have no speakers. Changes of one transcript
lock all of its speakers, so that the totals stay right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, delete, func, select, text, update
from sqlalchemy.orm import Session

from common import summaries
from common.db import Database
from common.errors import NoSpeakers, NotFound
from common.jobs.job import Job
from common.jobs.lifecycle.attempts import word_values
from common.jobs.reading import edits
from common.jobs.reading.sentences import sentence
from common.models import MachineSentenceRow, SentenceRow, SpeakerRow
from common.transcript.sentence_numbers import FIRST_SPLIT_OFF
from common.transcript.values import Sentence, Speaker, Word


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
        summaries.mark_stale(session, job.id)
        return _speakers(session, job)


def merge_speakers(database: Database, job: Job, number: int, into: int) -> tuple[Speaker, ...]:
    """Give all sentences of one speaker to another, and remove it; returns the speakers that are left.

    The other keeps its name or, if it has none, takes that of the removed one. Raises NoSpeakers, NotFound.
    """
    with database.transaction() as session:
        held = _held(session, job, number, into)
        removed, kept = held[number], held[into]
        if number != into:
            for table in (SentenceRow, MachineSentenceRow):
                spoken = (table.job_id == job.id, table.run == job.run, table.speaker == number)
                session.execute(update(table).where(*spoken).values(speaker=into))
            _merge_in_words(session, job, number, into)
            changes = {"name": kept.name or removed.name, "speech_ms": kept.speech_ms + removed.speech_ms}
            session.execute(update(SpeakerRow).where(_of(job), SpeakerRow.number == into).values(**changes))
            session.execute(delete(SpeakerRow).where(_of(job), SpeakerRow.number == number))
            summaries.mark_stale(session, job.id)
        return _speakers(session, job)


def assign_sentence(database: Database, job: Job, number: int, speaker: int) -> Sentence:
    """Give a sentence to a speaker; returns the sentence. Raises NoSpeakers, and NotFound for either."""
    with database.transaction() as session:
        _held(session, job, speaker)
        place = (SentenceRow.job_id == job.id, SentenceRow.run == job.run, SentenceRow.number == number)
        [(_, _, words)] = edits.lock(session, job, [number])
        length_ms = SentenceRow.end_ms - SentenceRow.start_ms
        [(before, milliseconds)] = session.execute(select(SentenceRow.speaker, length_ms).where(*place))
        own = {"words": _spoken_by(words, lambda _: None)} if any(Word(*word).speaker for word in words) else {}
        session.execute(update(SentenceRow).where(*place).values(speaker=speaker, **own))
        if before != speaker:
            add_speech(session, job, {who: ms for who, ms in ((before, -milliseconds), (speaker, milliseconds)) if who})
            summaries.mark_stale(session, job.id)
    return sentence(database, job, number)


def lock_speakers(session: Session, job: Job) -> None:
    """Lock all speakers of a job, if it has any, before any of its sentences."""
    if job.options.speakers:
        session.execute(select(SpeakerRow.number).where(_of(job)).order_by(SpeakerRow.number).with_for_update())


def add_speech(session: Session, job: Job, milliseconds: Mapping[int, int]) -> None:
    """Add to the sums of speakers, which the caller has locked, the lengths of sentences."""
    for number, more_ms in milliseconds.items():
        total = func.greatest(SpeakerRow.speech_ms + more_ms, 0).cast(BigInteger)
        session.execute(update(SpeakerRow).where(_of(job), SpeakerRow.number == number).values(speech_ms=total))


def _merge_in_words(session: Session, job: Job, number: int, into: int) -> None:
    """Give the words of merged sentences that are another speaker's than the sentence to the one that remains."""
    path = func.jsonb_path_exists(SentenceRow.words, text(f"'$[*][6] ? (@ == {number})'"))
    touched = select(MachineSentenceRow.number).where(
        MachineSentenceRow.job_id == job.id, MachineSentenceRow.run == job.run
    )
    ours = (SentenceRow.job_id == job.id, SentenceRow.run == job.run)
    some = SentenceRow.number.in_(touched) | (SentenceRow.number >= FIRST_SPLIT_OFF)

    def renamed(who: int | None) -> int | None:
        return into if who == number else who

    # One at a time: together, the words of a long transcript fill a process.
    for found in session.scalars(select(SentenceRow.number).where(*ours, some, path)).all():
        one = (*ours, SentenceRow.number == found)
        [words] = session.scalars(select(SentenceRow.words).where(*one))
        session.execute(update(SentenceRow).where(*one).values(words=_spoken_by(words, renamed)))


def _spoken_by(words: Sequence[Sequence[Any]], whose: Callable[[int | None], int | None]) -> list[list[Any]]:
    """Return stored words with the speakers that `whose` gives them."""
    told = [Word(*word) for word in words]
    return [word_values(replace(word, speaker=whose(word.speaker))) for word in told]


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
    lock_speakers(session, job)
    found = {item.number: item for item in _speakers(session, job)}
    for number in numbers:
        if number not in found:
            raise NotFound(f"{job.public_id} has no speaker {number}")
    return found
