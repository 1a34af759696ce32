"""Voice prints that are kept with transcripts, and compared with the tenant's voices when a job ends."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from sqlalchemy import delete, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import named_rows
from common.db import Database
from common.models import SpeakerRow, TenantRow, VoicePrintRow, VoiceRow, VoiceSampleRow
from common.time_limit import TimeLimit
from common.transcript.voice_prints import VoicePrint, combined, unpacked
from common.voices.matching import matched

ROWS_AT_A_TIME = 500
# From tenant to tenant by the index, whether or not a tenant has a row; the last one is NULL.
TENANTS_WITH_PRINTS = text("""
WITH RECURSIVE kept AS (
    (SELECT tenant FROM voice_prints ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT tenant FROM voice_prints p WHERE p.tenant > kept.tenant ORDER BY tenant LIMIT 1)
    FROM kept WHERE kept.tenant IS NOT NULL
)
SELECT tenant FROM kept WHERE tenant IS NOT NULL
""")


@dataclass(frozen=True, slots=True)
class Place:
    """A run of a job."""

    job_id: uuid.UUID
    run: int
    tenant: str


@dataclass(frozen=True, slots=True)
class Heard:
    """The voice prints of a run's speakers by number, and the speaker model that they come from."""

    model: str
    prints: Mapping[int, VoicePrint]


def permitted(database: Database, tenant: str) -> bool:
    """Return whether a tenant keeps voice prints."""
    with database.transaction() as session:
        return permitted_in(session, tenant)


def permitted_in(session: Session, tenant: str) -> bool:
    """Return whether a tenant keeps voice prints; one without a row has not switched them on."""
    return session.scalar(select(TenantRow.voices).where(TenantRow.name == tenant)) is True


def keep(session: Session, place: Place, heard: Heard, least_similarity: float) -> None:
    """Keep the prints of a run's speakers, and name those that are known voices; nothing if the tenant keeps none.

    The rows of the speakers must be written already.
    """
    usable = {number: item for number, item in heard.prints.items() if item.usable}
    if not usable or not permitted_in(session, place.tenant):
        return
    rows = [
        {"number": number, "model": heard.model, "embedding": item.packed(), "speech_ms": item.speech_ms}
        | {"job_id": place.job_id, "run": place.run, "tenant": place.tenant}
        for number, item in sorted(usable.items())
    ]
    session.execute(insert(VoicePrintRow), rows)
    _name(session, place, Heard(heard.model, usable), least_similarity)


def copy(session: Session, source: Place, place: Place, least_similarity: float) -> None:
    """Keep the prints of another run of the same audio for this one, whose speakers must be written already."""
    theirs = (VoicePrintRow.job_id == source.job_id, VoicePrintRow.run == source.run)
    found = session.scalars(select(VoicePrintRow).where(*theirs)).all()
    if found:  # all of one speaker model
        prints = {row.number: unpacked(row.embedding, row.speech_ms) for row in found}
        keep(session, place, Heard(found[0].model, prints), least_similarity)


def merge(session: Session, place: Place, number: int, into: int) -> None:
    """Give the print of one speaker to another, whose rows the caller has locked."""
    ours = (VoicePrintRow.job_id == place.job_id, VoicePrintRow.run == place.run)
    statement = select(VoicePrintRow).where(*ours, VoicePrintRow.number.in_((number, into)))
    found = {row.number: row for row in session.scalars(statement)}
    if number not in found:
        return
    both = combined(unpacked(row.embedding, row.speech_ms) for _, row in sorted(found.items()))
    place_of_row = {"job_id": place.job_id, "run": place.run, "number": into}
    values = {"model": found[number].model, "embedding": both.packed(), "speech_ms": both.speech_ms}
    made = insert(VoicePrintRow).values(**place_of_row, tenant=place.tenant, **values)
    session.execute(made.on_conflict_do_update(index_elements=list(place_of_row), set_=values))


def forget_unwanted(database: Database, limit: TimeLimit, *, all_tenants: bool = False) -> int:
    """Delete the prints of transcripts whose tenants keep none any more, or of all; returns how many."""
    with database.transaction() as session:
        having = session.scalars(TENANTS_WITH_PRINTS).all()
        wanted = set() if all_tenants else set(session.scalars(select(TenantRow.name).where(TenantRow.voices)))
    unwanted = [tenant for tenant in having if tenant not in wanted]
    return sum(limit.until_done(partial(_forget_some, database, tenant)) for tenant in unwanted)


def _forget_some(database: Database, tenant: str) -> int:
    place = (VoicePrintRow.job_id, VoicePrintRow.run, VoicePrintRow.number)
    due = select(*place).where(VoicePrintRow.tenant == tenant).limit(ROWS_AT_A_TIME)
    statement = delete(VoicePrintRow).where(tuple_(*place).in_(due)).returning(VoicePrintRow.number)
    with database.transaction() as session:
        return len(session.execute(statement).all())


def _name(session: Session, place: Place, heard: Heard, least_similarity: float) -> None:
    """Name the speakers that are known voices."""
    named_rows.lock(session, VoiceRow, place.tenant, shared=True)  # a voice that is deleted meanwhile names nobody
    columns = (VoiceRow.id, VoiceRow.name, VoiceSampleRow.embedding, VoiceSampleRow.speech_ms)
    comparable = (VoiceRow.tenant == place.tenant, VoiceSampleRow.model == heard.model)
    statement = select(*columns).join(VoiceSampleRow, VoiceSampleRow.voice_id == VoiceRow.id).where(*comparable)
    samples: defaultdict[uuid.UUID, list[VoicePrint]] = defaultdict(list)
    names: dict[uuid.UUID, str] = {}
    for voice_id, name, embedding, speech_ms in session.execute(statement.order_by(VoiceSampleRow.enrolled_at)):
        samples[voice_id].append(unpacked(embedding, speech_ms))
        names[voice_id] = name
    known = {voice_id: combined(prints) for voice_id, prints in samples.items()}
    voices = {voice_id: item for voice_id, item in known.items() if item.usable}
    for number, match in sorted(matched(heard.prints, voices, least_similarity).items()):
        ours = (SpeakerRow.job_id == place.job_id, SpeakerRow.run == place.run, SpeakerRow.number == number)
        told = {"name": names[match.voice_id], "voice_id": match.voice_id, "similarity": match.similarity}
        session.execute(update(SpeakerRow).where(*ours).values(**told))
