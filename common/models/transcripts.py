"""The results of a job: parts, sentences, corrections, speakers."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Float,
    ForeignKeyConstraint,
    FromClause,
    Index,
    Integer,
    SmallInteger,
    func,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import DEFAULT_TENANT, Row
from common.transcript.sentence_numbers import FIRST_SPLIT_OFF


class PartRow(Row):
    """A committed section of audio, with the state to resume after it."""

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


class SpeakerWindowsRow(Row):
    """The speaker embeddings of a part (`worker.engine.speakers.windows`), kept only while the job runs."""

    __tablename__ = "speaker_windows"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    part: Mapped[int] = mapped_column(Integer, primary_key=True)
    windows: Mapped[bytes]

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "run", "part"],
            ["parts.job_id", "parts.run", "parts.number"],
            ondelete="CASCADE",
            name="speaker_windows_part",
        ),
    )


class SpeakerRow(Row):
    """A speaker of a job, counted from 1, with the name that people gave it and the sum of its sentences' lengths."""

    __tablename__ = "speakers"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    tenant: Mapped[str]
    name: Mapped[str | None]
    speech_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="speakers_job"),)


# Defined in migrations/sql/functions.sql.
SENTENCE_GRAMS = text("search_grams(tenant, text, 1)")


class SpokenText:
    """A sentence, as recognised or as people split and merged it.

    `words` is a list of [text, start_ms, end_ms, confidence], with a fifth item, true, for a filler that `text` leaves
    out, a sixth, `Word.replaced_from`, where a hotword replaced something, and a seventh, `Word.speaker`. `spoken` is
    the recognised text where rules changed it. `speaker` counts from 1. `tags` is `Tags.stored`.
    """

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    channel: Mapped[int] = mapped_column(SmallInteger)
    start_ms: Mapped[int] = mapped_column(BigInteger)
    end_ms: Mapped[int] = mapped_column(BigInteger)
    confidence: Mapped[float] = mapped_column(Float)
    text: Mapped[str]
    spoken: Mapped[str | None]
    words: Mapped[list[Any]] = mapped_column(JSONB)
    speaker: Mapped[int | None] = mapped_column(SmallInteger)
    tags: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class SentenceRow(SpokenText, Row):
    """A finished sentence with its job's tenant.

    A person may have split or merged the machine's sentences: see `MachineSentenceRow` and
    `common.transcript.sentence_numbers`.
    """

    __tablename__ = "sentences"

    tenant: Mapped[str] = mapped_column(server_default=text(f"'{DEFAULT_TENANT}'"))

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="sentences_job"),
        Index("sentences_search", SENTENCE_GRAMS, postgresql_using="gin"),
    )


class MachineSentenceRow(SpokenText, Row):
    """A sentence as the machine made it, kept when people first split it or merge it with another.

    It is deleted with the result of its job, and not with the sentences that were made of it.
    """

    __tablename__ = "machine_sentences"

    __table_args__ = (ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="machine_sentences_job"),)


def as_recognised(sentences: FromClause) -> ColumnElement[bool]:
    """Build the condition that a sentence is still as the machine made it."""
    own = sentences.c
    kept = select(MachineSentenceRow.number).where(
        MachineSentenceRow.job_id == own.job_id,
        MachineSentenceRow.run == own.run,
        MachineSentenceRow.number == own.number,
    )
    # The offset makes PostgreSQL look each sentence up by index. With statistics that are old, it would compare each
    # with all that are kept.
    return (own.number < text(str(FIRST_SPLIT_OFF))) & ~kept.offset(literal_column("0")).correlate(sentences).exists()


EDIT_GRAMS = text("search_grams(tenant, text, 1)")


class EditRow(Row):
    """A person's text for a sentence, NULL if the machine's was restored; deleted together with the sentence.

    `words` is a list of [text, start_ms, end_ms, confidence]: the words of the text with their times. `confirmed` are
    the places of the machine's words that a person has checked. `change` says what split or merged the sentence (see
    `common.jobs.reading.structure`); NULL for other changes.
    """

    __tablename__ = "edits"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    tenant: Mapped[str]
    text: Mapped[str | None]
    words: Mapped[list[Any] | None] = mapped_column(JSONB(none_as_null=True))
    confirmed: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger))
    change: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
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


class EarlierEditRow(Row):
    """What a sentence's edit was before its newest revision.

    Revision 0 is the machine's text before the first change was to split or merge it.
    """

    __tablename__ = "earlier_edits"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    text: Mapped[str | None]
    confirmed: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger))
    change: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    key_id: Mapped[uuid.UUID | None]
    edited_at: Mapped[datetime]

    __table_args__ = (
        ForeignKeyConstraint(
            ["job_id", "run", "number"],
            ["edits.job_id", "edits.run", "edits.number"],
            ondelete="CASCADE",
            name="earlier_edits_edit",
        ),
    )
