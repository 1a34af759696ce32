"""Sentences that people split and merge. What the machine made of them is kept in `machine_sentences`.

A sentence is a span of words, from the word that its number stands for (`common.transcript.sentence_numbers`) up to the
sentence that follows. Its recognised text, times and confidence follow from the span and the machine's sentences, so
that whatever is split and merged again is what it was. Every change is a revision of the sentence: a correction that
has not seen it is refused.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import summaries
from common.db import Database
from common.errors import EditConflict, InvalidRequest
from common.jobs.job import Job
from common.jobs.lifecycle.attempts import word_values
from common.jobs.reading import edits
from common.jobs.reading.read import readable
from common.jobs.reading.sentences import COLUMNS, before, read_after, sentence
from common.jobs.reading.speakers import add_speech, lock_speakers
from common.models import EarlierEditRow, MachineSentenceRow, SentenceRow
from common.transcript.cuts import cut_near, text_place
from common.transcript.sentence_numbers import FIRST_SPLIT_OFF, begins_at
from common.transcript.spans import Slice, Span, cut, spoken_in
from common.transcript.values import Sentence, Word, joined_text, tags_of

# A merged sentence can still be corrected, and its words confirmed.
LONGEST = 5_000
MOST_WORDS = 4_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What the caller has read of a sentence, like the fields of `Correction`; None is not checked."""

    revision: int | None = None
    machine_text: str | None = None


NOTHING_SEEN = Seen()


@dataclass(frozen=True, slots=True)
class _Made:
    """A sentence that a change made: what was recognised in it, and what people made of that."""

    number: int
    spoken: Sentence
    text: str | None
    confirmed: tuple[int, ...]
    change: dict[str, Any]


def split(
    database: Database,
    job: Job,
    number: int,
    *,
    at_word: int | None = None,
    at_character: int | None = None,
    seen: Seen = NOTHING_SEEN,
    key_id: uuid.UUID | None = None,
) -> tuple[Sentence, Sentence]:
    """Split a sentence of a completed job before one of its words; returns both sentences.

    `at_word` is the word that begins the second sentence, `at_character` the place in the text: one follows from the
    other. With both, a corrected text is cut exactly at that character. Raises NotReady, NoTranscript, NotFound,
    EditConflict as corrections do, and InvalidRequest if one of the sentences would be empty.
    """
    readable(job, partial=False)
    with database.transaction() as session:
        lock_speakers(session, job)
        edits.lock(session, job, [number], deleted=True)
        held, *following = read_after(session, job, before(number), limit=2)
        _check(held, seen)
        word, character = _cut(held, at_word, at_character)
        _keep_machines(session, job, [held])
        span = _span(session, job, held, following[0] if following else None)
        try:
            left, right, second = cut(span, word)
        except ValueError as error:
            raise InvalidRequest(f"sentence {number}: {error}") from None
        speakers = _speakers(held)
        texts = (held.text[:character].strip(), held.text[character:].strip()) if _kept(held) else (None, None)
        made = _Made(
            second,
            spoken_in(right, speakers[word:], speakers[word]),
            texts[1],
            tuple(place - word for place in _confirmed(held) if place >= word),
            {"kind": "split_off", "other": number},
        )
        rest = _Made(
            number,
            spoken_in(left, speakers[:word], held.speaker),
            texts[0],
            tuple(place for place in _confirmed(held) if place < word),
            {"kind": "split", "other": second},
        )
        whose = {"tenant": job.tenant, "channel": held.channel}
        session.execute(insert(SentenceRow).values(**_place(job, second), **whose, **_columns(made.spoken)))
        _change(session, job, held, rest, held.revision, key_id)
        _keep_edit(session, job, made, held.revision + 1, key_id)
        _count(session, job, [held], [rest.spoken, made.spoken])
        _tell_summary(session, job, held, made.spoken)
    return sentence(database, job, number), sentence(database, job, second)


def merge(
    database: Database,
    job: Job,
    number: int,
    *,
    following: int | None = None,
    seen: Seen = NOTHING_SEEN,
    following_seen: Seen = NOTHING_SEEN,
    key_id: uuid.UUID | None = None,
) -> tuple[Sentence, int]:
    """Merge a sentence of a completed job with the one after it; returns the sentence and the number that is gone.

    `following` is the number of the second sentence that the caller saw. The words keep their speakers, the sentence
    that of the first. Raises like `split`; InvalidRequest for the last sentence, for two channels, and for a sentence
    that would be too long.
    """
    readable(job, partial=False)
    with database.transaction() as session:
        lock_speakers(session, job)
        ahead = [item.number for item in read_after(session, job, before(number), limit=2)]
        # Both at once, in the order of all locks.
        edits.lock(session, job, [number, *(other for other in ahead[1:] if other is not None)], deleted=True)
        first, *others = read_after(session, job, before(number), limit=3)
        if [first.number, *(item.number for item in others[:1])] != ahead:
            raise EditConflict(f"another sentence follows sentence {number} by now")
        _check(first, seen)
        if not others:
            raise InvalidRequest(f"no sentence follows sentence {number}")
        second = others[0]
        if following not in (None, second.number):
            raise EditConflict(f"sentence {second.number} follows sentence {number} by now, not {following}")
        _check(second, following_seen)
        last = others[1] if len(others) > 1 else None
        _keep_machines(session, job, [first, second])
        made = _merged(first, second, _span(session, job, first, last))
        assert second.number is not None
        session.execute(delete(SentenceRow).where(*_is(job, second.number)))
        _change(session, job, first, made, max(first.revision, second.revision), key_id)
        _count(session, job, [first, second], [made.spoken])
        _tell_summary(session, job, first, second)
    return sentence(database, job, number), second.number


def _merged(first: Sentence, second: Sentence, span: Span) -> _Made:
    assert first.number is not None
    spoken = spoken_in(span, _speakers(first) + _speakers(second), first.speaker)
    corrected = joined_text((first, second)) if _kept(first) or _kept(second) else None
    text = spoken.text if corrected is None else corrected
    if first.channel != second.channel:
        raise InvalidRequest("sentences of two channels cannot be merged")
    if max(len(text), len(spoken.text)) > LONGEST or len(spoken.words) > MOST_WORDS:
        raise InvalidRequest(f"the sentence would have more than {LONGEST} characters or {MOST_WORDS} words")
    behind = len(first.words)
    seam = {"at_word": behind, "at_character": len(text) - len(second.text)}
    confirmed = (*_confirmed(first), *(behind + place for place in _confirmed(second)))
    return _Made(first.number, spoken, corrected, confirmed, {"kind": "merged", "other": second.number, **seam})


def _check(held: Sentence, seen: Seen) -> None:
    """Raise EditConflict if the sentence is not as the caller saw it."""
    assert held.number is not None
    if why := edits.differs(held.number, held.machine_text, held.revision, seen.revision, seen.machine_text):
        raise EditConflict(why)


def _cut(held: Sentence, at_word: int | None, at_character: int | None) -> tuple[int, int]:
    """Return where words and text of a sentence are cut. Raises InvalidRequest."""
    if at_word is None:
        if at_character is None:
            raise InvalidRequest("one of at_word, at_character is required")
        at_word, at_character = cut_near(held, at_character)
        if _kept(held):  # it may begin or end with words that nobody recognised
            at_word = min(max(at_word, 1), len(held.words) - 1)
    elif at_character is None:
        at_character = text_place(held, at_word)
    if not 0 < at_word < len(held.words):
        raise InvalidRequest(f"sentence {held.number} cannot be split before word {at_word} of {len(held.words)}")
    if _kept(held) and not (held.text[:at_character].strip() and held.text[at_character:].strip()):
        raise InvalidRequest(f"the text of sentence {held.number} cannot be split at character {at_character}")
    return at_word, at_character


def _keep_machines(session: Session, job: Job, held: Sequence[Sentence]) -> None:
    """Keep what the machine made of sentences that nobody has split or merged before."""
    columns = ("job_id", "run", *COLUMNS)
    for item in held:
        if item.number is not None and item.number < FIRST_SPLIT_OFF:
            now = select(*(getattr(SentenceRow, name) for name in columns)).where(*_is(job, item.number))
            session.execute(insert(MachineSentenceRow).from_select(columns, now).on_conflict_do_nothing())


def _span(session: Session, job: Job, held: Sentence, following: Sentence | None) -> Span:
    """Return what a sentence is made of, up to the one that follows it, from the sentences that are kept."""
    assert held.number is not None
    number, first = begins_at(held.number)
    table = MachineSentenceRow
    wanted = [table.job_id == job.id, table.run == job.run, table.number >= number]
    last, behind = begins_at(following.number or 0) if following is not None else (None, 0)
    if last is not None:
        wanted.append(table.number < last if behind == 0 else table.number <= last)
    columns = select(*(getattr(table, name) for name in COLUMNS)).where(*wanted).order_by(table.number)
    slices: list[Slice] = []
    for row in session.execute(columns):
        values = row._asdict()
        words = tuple(Word(*word) for word in row.words)
        machine = Sentence(**values | {"words": words, "tags": tags_of(row.tags)})
        end = behind if last is not None and behind and row.number == last else len(machine.words)
        slices.append(Slice(machine, first if row.number == number else 0, end))
    return tuple(slices)


def _change(session: Session, job: Job, held: Sentence, made: _Made, revision: int, key_id: uuid.UUID | None) -> None:
    """Write what became of a sentence, and what it was before into its history."""
    place = _place(job, made.number)
    session.execute(update(SentenceRow).where(*_is(job, made.number)).values(**_columns(made.spoken)))
    edits.remember(session, job, {made.number: held.revision})
    # The machine's text of these revisions is not the sentence's any more.
    earlier = [getattr(EarlierEditRow, name) == value for name, value in place.items()]
    bare = update(EarlierEditRow).where(*earlier, EarlierEditRow.text.is_(None)).values(text=held.machine_text)
    session.execute(bare.execution_options(synchronize_session=False))
    _keep_edit(session, job, made, revision + 1, key_id)
    if held.edit is None:
        first = {"revision": 0, "text": held.text, "edited_at": func.now()}
        session.execute(insert(EarlierEditRow).values(**place, **first))


def _keep_edit(session: Session, job: Job, made: _Made, revision: int, key_id: uuid.UUID | None) -> None:
    text = None if made.text == made.spoken.text else made.text
    written = {
        "tenant": job.tenant,
        "text": text,
        "words": edits.timed(text, made.spoken.words) if text is not None else None,
        "confirmed": list(made.confirmed) or None,
        "change": made.change,
        "revision": revision,
        "key_id": key_id,
    }
    edits.keep(session, [_place(job, made.number) | written])


def _columns(spoken: Sentence) -> dict[str, Any]:
    names = ("start_ms", "end_ms", "confidence", "text", "spoken", "speaker")
    tags = spoken.tags.stored() if spoken.tags is not None else None
    return {name: getattr(spoken, name) for name in names} | {
        "words": [word_values(word) for word in spoken.words],
        "tags": tags,
    }


def _count(session: Session, job: Job, gone: list[Sentence], come: list[Sentence]) -> None:
    """Keep the sums of speakers right."""
    lengths = Counter[int | None]()
    for item in gone:
        lengths[item.speaker] -= item.end_ms - item.start_ms
    for item in come:
        lengths[item.speaker] += item.end_ms - item.start_ms
    add_speech(session, job, {who: ms for who, ms in lengths.items() if who is not None})


def _tell_summary(session: Session, job: Job, one: Sentence, other: Sentence) -> None:
    """Mark a summary as older than the transcript if words of one speaker are shown as those of another now."""
    if one.speaker != other.speaker:
        summaries.mark_stale(session, job.id)


def _kept(held: Sentence) -> bool:
    return held.edit is not None and held.edit.text is not None


def _speakers(held: Sentence) -> list[int | None]:
    return [word.speaker or held.speaker for word in held.words]


def _confirmed(held: Sentence) -> list[int]:
    return [place for place, word in enumerate(held.words) if word.confirmed]


def _place(job: Job, number: int) -> dict[str, Any]:
    return {"job_id": job.id, "run": job.run, "number": number}


def _is(job: Job, number: int) -> list[Any]:
    return [getattr(SentenceRow, name) == literal(value) for name, value in _place(job, number).items()]
