"""Known voices of tenants, and the voice prints of speakers that are kept with transcripts.

Voice prints are biometric data: only tenants that have switched voices on have rows here.
"""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index, Integer, SmallInteger, func
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import Row


class VoiceRow(Row):
    """A person whose voice a tenant has enrolled. `consent` is what was stated of it, by the key `made_by`."""

    __tablename__ = "voices"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    name: Mapped[str]
    consent: Mapped[str]
    made_by: Mapped[uuid.UUID | None]

    __table_args__ = (Index("voices_by_name", "tenant", "name", unique=True),)


class VoiceSampleRow(Row):
    """A voice print of a voice: that of one speaker of a transcription, which may be deleted by now.

    `model` names the speaker model; `embedding` is a unit vector as float32, little-endian.
    """

    __tablename__ = "voice_samples"

    voice_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    speaker: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    model: Mapped[str]
    embedding: Mapped[bytes]
    speech_ms: Mapped[int] = mapped_column(BigInteger)
    enrolled_at: Mapped[datetime] = mapped_column(server_default=func.now())
    enrolled_by: Mapped[uuid.UUID | None]

    __table_args__ = (
        ForeignKeyConstraint(["voice_id"], ["voices.id"], ondelete="CASCADE", name="voice_samples_voice"),
    )


class VoicePrintRow(Row):
    """The voice print of a speaker, from which a voice can be enrolled as long as the transcript is kept."""

    __tablename__ = "voice_prints"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    tenant: Mapped[str]
    model: Mapped[str]
    embedding: Mapped[bytes]
    speech_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "run", "number"],
            ["speakers.job_id", "speakers.run", "speakers.number"],
            ondelete="CASCADE",
            name="voice_prints_speaker",
        ),
        Index("voice_prints_of_tenant", "tenant"),
    )
