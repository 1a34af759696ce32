"""Vocabularies of tenants, and their words as they were when a job was submitted."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKeyConstraint, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import Row


class VocabularyRow(Row):
    """Words that a tenant keeps for its transcriptions; `revision` counts the changes."""

    __tablename__ = "vocabularies"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    name: Mapped[str]
    revision: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    hotwords: Mapped[list[str]]
    masked_words: Mapped[list[str]]

    __table_args__ = (Index("vocabularies_by_name", "tenant", "name", unique=True),)


class JobWordsRow(Row):
    """All words that apply to a job with a vocabulary: those of the vocabulary when it was submitted, and its own.

    Not in `jobs`, whose rows are read at every poll.
    """

    __tablename__ = "job_words"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    hotwords: Mapped[list[str]]
    masked_words: Mapped[list[str]]

    __table_args__ = (ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="job_words_job"),)
