"""What a job produced: parts, sentences, corrections."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import DEFAULT_TENANT, Row


class PartRow(Row):
    """A committed stretch of audio with the state to resume behind it."""

    __tablename__ = "parts"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    start_ms: Mapped[int] = mapped_column(BigInteger)
    end_ms: Mapped[int] = mapped_column(BigInteger)
    sentences: Mapped[int] = mapped_column(Integer)
    state: Mapped[bytes | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="parts_job"),)


# migrations/sql/functions.sql says what it answers.
SENTENCE_GRAMS = text("search_grams(tenant, text, 1)")


class SentenceRow(Row):
    """A finished sentence, with the tenant of its job; `words` is a list of [text, start_ms, end_ms, confidence]."""

    __tablename__ = "sentences"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant: Mapped[str] = mapped_column(server_default=text(f"'{DEFAULT_TENANT}'"))
    channel: Mapped[int] = mapped_column(SmallInteger)
    start_ms: Mapped[int] = mapped_column(BigInteger)
    end_ms: Mapped[int] = mapped_column(BigInteger)
    confidence: Mapped[float] = mapped_column(Float)
    text: Mapped[str]
    words: Mapped[list[Any]] = mapped_column(JSONB)

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="sentences_job"),
        Index("sentences_search", SENTENCE_GRAMS, postgresql_using="gin"),
    )


EDIT_GRAMS = text("search_grams(tenant, text, 1)")


class EditRow(Row):
    """A person's text for a sentence, NULL where they went back to the machine's; it goes with the sentence."""

    __tablename__ = "edits"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant: Mapped[str]
    text: Mapped[str | None]
    revision: Mapped[int] = mapped_column(Integer)
    key_id: Mapped[uuid.UUID | None]
    edited_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "run", "number"],
            ["sentences.job_id", "sentences.run", "sentences.number"],
            ondelete="CASCADE",
            name="edits_sentence",
        ),
        Index("edits_search", EDIT_GRAMS, postgresql_using="gin"),
    )
