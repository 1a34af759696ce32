"""Enrol, list, rename and delete the voices of a tenant. Voices of other tenants are treated as missing."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, func, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import ids, named_rows, summaries
from common.db import Database
from common.errors import NotFound, NoVoicePrint, TooManyVoices, VoiceNameTaken, VoicesOff
from common.models import SpeakerRow, VoicePrintRow, VoiceRow, VoiceSampleRow
from common.voices.prints import permitted_in
from common.voices.values import Sample, Source, Voice, VoicePage

MAX_VOICES = 200
MAX_SAMPLES = 20
SPEAKERS_AT_A_TIME = 1000
LEAST_ENROLLED_MS = 10_000
"""Speech that a voice print must rest on to be enrolled."""


def create(database: Database, source: Source, *, name: str, consent: str) -> Voice:
    """Enrol a speaker as a new voice, which names the speaker if nobody has; `consent` states that the person agrees.

    Raises VoicesOff, NotFound, NoVoicePrint, TooManyVoices, VoiceNameTaken.
    """
    with database.transaction() as session:
        _check_permitted(session, source.tenant)
        if named_rows.number_of(session, VoiceRow, source.tenant) >= MAX_VOICES:
            raise TooManyVoices(f"the limit of {MAX_VOICES} voices is reached; delete one first")
        _check_free(session, source.tenant, name)
        voice_id = ids.new_id()
        values = {"tenant": source.tenant, "name": name, "consent": consent, "made_by": source.key_id}
        session.execute(insert(VoiceRow).values(id=voice_id, **values))
        _enrol(session, source, voice_id, name)
        return _voice(session, voice_id, source.tenant)


def enrol(database: Database, voice_id: uuid.UUID, source: Source) -> Voice:
    """Add a speaker's voice print to a voice; that of the same speaker replaces the earlier one.

    Raises VoicesOff, NotFound, NoVoicePrint, TooManyVoices.
    """
    with database.transaction() as session:
        _check_permitted(session, source.tenant)
        voice = _voice(session, voice_id, source.tenant)
        others = [item for item in voice.samples if (item.job_id, item.speaker) != (source.job_id, source.speaker)]
        if len(others) >= MAX_SAMPLES:
            raise TooManyVoices(f"the limit of {MAX_SAMPLES} samples of a voice is reached")
        _enrol(session, source, voice_id, voice.name)
        session.execute(update(VoiceRow).where(VoiceRow.id == voice_id).values(updated_at=func.now()))
        return _voice(session, voice_id, source.tenant)


def get(database: Database, voice_id: uuid.UUID, *, tenant: str) -> Voice:
    """Return a voice. Raises NotFound."""
    with database.transaction() as session:
        return _voice(session, voice_id, tenant)


def page(database: Database, *, tenant: str, after: str | None = None, limit: int = 20) -> VoicePage:
    """Return a page of a tenant's voices, newest first. Raises InvalidRequest for an invalid cursor."""
    statement = named_rows.newest(VoiceRow, tenant, after, limit)
    with database.transaction() as session:
        shown, more = named_rows.cut(session.scalars(statement).all(), limit)
        return VoicePage(_with_samples(session, shown), more)


def rename(database: Database, voice_id: uuid.UUID, name: str, *, tenant: str) -> Voice:
    """Rename a voice; names that transcripts already have stay. Raises NotFound, VoiceNameTaken."""
    with database.transaction() as session:
        named_rows.lock(session, VoiceRow, tenant)
        if _voice(session, voice_id, tenant).name != name:
            _check_free(session, tenant, name)
            changed = update(VoiceRow).where(VoiceRow.id == voice_id).values(name=name, updated_at=func.now())
            session.execute(changed.execution_options(synchronize_session=False))
            session.expire_all()
        return _voice(session, voice_id, tenant)


def remove(database: Database, voice_id: uuid.UUID, *, tenant: str) -> None:
    """Delete a voice with all its voice prints; names that transcripts already have stay. Raises NotFound."""
    with database.transaction() as session:
        named_rows.lock(session, VoiceRow, tenant)
        _voice(session, voice_id, tenant)
        session.execute(delete(VoiceSampleRow).where(VoiceSampleRow.voice_id == voice_id))
    # From here on it names nobody. In one transaction with many thousands of speakers, it might never be deleted.
    while _unlinked(database, voice_id) == SPEAKERS_AT_A_TIME:
        pass
    with database.transaction() as session:
        named_rows.lock(session, VoiceRow, tenant)
        session.execute(delete(VoiceRow).where(VoiceRow.id == voice_id))


def _unlinked(database: Database, voice_id: uuid.UUID) -> int:
    """Take a voice away from some of the speakers that have its name; returns from how many."""
    place = (SpeakerRow.job_id, SpeakerRow.run, SpeakerRow.number)
    # In the order in which people's changes lock the speakers of a job.
    some = select(*place).where(SpeakerRow.voice_id == voice_id).order_by(*place).limit(SPEAKERS_AT_A_TIME)
    with database.transaction() as session:
        found = session.execute(some.with_for_update()).all()
        free = update(SpeakerRow).where(tuple_(*place).in_([tuple(row) for row in found])).values(voice_id=None)
        session.execute(free.execution_options(synchronize_session=False))
        return len(found)


def _check_permitted(session: Session, tenant: str) -> None:
    """Let one change of a tenant's voices be made at a time, if the tenant keeps any. Raises VoicesOff."""
    named_rows.lock(session, VoiceRow, tenant)
    if not permitted_in(session, tenant):
        raise VoicesOff("known voices are switched off for this tenant")


def _check_free(session: Session, tenant: str, name: str) -> None:
    if named_rows.is_taken(session, VoiceRow, tenant, name):
        raise VoiceNameTaken(f"there is already a voice named {name!r}")


def _enrol(session: Session, source: Source, voice_id: uuid.UUID, name: str) -> None:
    """Copy the print of a speaker to a voice, and link the speaker with it."""
    theirs = (SpeakerRow.job_id == source.job_id, SpeakerRow.run == source.run, SpeakerRow.number == source.speaker)
    statement = select(SpeakerRow).where(*theirs, SpeakerRow.tenant == source.tenant).with_for_update()
    speaker = session.scalar(statement)
    if speaker is None:
        raise NotFound(f"not found: {source}")
    kept = session.get(VoicePrintRow, (source.job_id, source.run, source.speaker))
    if kept is None:
        raise NoVoicePrint(f"no voice print of {source} was kept")
    if kept.speech_ms < LEAST_ENROLLED_MS:
        seconds = f"{kept.speech_ms / 1000:.0f} s of speech, {LEAST_ENROLLED_MS / 1000:.0f} s are needed"
        raise NoVoicePrint(f"{source} cannot be enrolled: {seconds}")
    values = {name: getattr(kept, name) for name in ("model", "embedding", "speech_ms")}
    values |= {"enrolled_by": source.key_id, "enrolled_at": func.now()}
    place = {"voice_id": voice_id, "job_id": source.job_id, "speaker": source.speaker}
    added = insert(VoiceSampleRow).values(**place, **values)
    session.execute(added.on_conflict_do_update(index_elements=list(place), set_=values))
    if speaker.name is None:
        summaries.mark_stale(session, source.job_id)
    linked = {"voice_id": voice_id, "similarity": None, "name": speaker.name or name}
    session.execute(update(SpeakerRow).where(*theirs).values(**linked))


def _voice(session: Session, voice_id: uuid.UUID, tenant: str) -> Voice:
    row = session.scalar(select(VoiceRow).where(VoiceRow.id == voice_id, VoiceRow.tenant == tenant))
    if row is None:
        raise ids.missing(ids.VOICE, voice_id)
    return _with_samples(session, [row])[0]


def _with_samples(session: Session, rows: Sequence[VoiceRow]) -> tuple[Voice, ...]:
    """Return voices with what is known of their samples; voice prints are not read."""
    columns = ("job_id", "speaker", "model", "speech_ms", "enrolled_at", "enrolled_by")
    statement = select(VoiceSampleRow.voice_id, *(getattr(VoiceSampleRow, name) for name in columns))
    statement = statement.where(VoiceSampleRow.voice_id.in_([row.id for row in rows]))
    samples: dict[uuid.UUID, list[Sample]] = {row.id: [] for row in rows}
    for voice_id, *values in session.execute(statement.order_by(VoiceSampleRow.enrolled_at, VoiceSampleRow.job_id)):
        samples[voice_id].append(Sample(*values))
    return tuple(
        Voice(row.id, row.created_at, row.updated_at, row.name, row.consent, row.made_by, tuple(samples[row.id]))
        for row in rows
    )
