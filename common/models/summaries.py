"""Summaries of transcripts, the templates of tenants for them, and the tokens that they took."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
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

from common.job_states import Status
from common.models.base import Row
from common.models.jobs import STATUSES

# What stays of a summary that is being replaced.
PREVIOUS = ("kind", "template_id", "template_name", "language", "content", "truncated", "stale", "model", "finished_at")


class SummaryRow(Row):
    """The summary of a job's transcript, requested or made.

    `due_at` is NULL until there is a transcript. `prompt` is the text of the template; of a built-in one NULL until the
    language is known. `progress` is the share of the recording that was read, 0 to 1. `stale`: the transcript was
    changed after it was read. `failures` are those since the last step that succeeded. `previous` is the last completed
    summary, with the columns in `PREVIOUS`, until the one that replaces it is completed.
    """

    __tablename__ = "summaries"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    key_id: Mapped[uuid.UUID | None]
    kind: Mapped[str]
    template_id: Mapped[uuid.UUID | None]
    template_name: Mapped[str | None]
    language: Mapped[str | None]
    prompt: Mapped[str | None]

    # How far it is, and the current holder
    status: Mapped[str] = mapped_column(server_default=Status.QUEUED.value)
    due_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    progress: Mapped[float] = mapped_column(Float, server_default=text("0"))
    token: Mapped[uuid.UUID | None]
    lease_expires_at: Mapped[datetime | None]

    # Result
    content: Mapped[str | None]
    truncated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    stale: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    model: Mapped[str | None]
    prompt_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    completion_tokens: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_retryable: Mapped[bool | None]
    previous: Mapped[dict[str, Any] | None] = mapped_column(JSONB)

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="summaries_job"),
        CheckConstraint(f"status IN ({STATUSES})", name="summaries_status_known"),
        CheckConstraint("(status = 'processing') = (token IS NOT NULL)", name="summaries_lease_while_processing"),
        Index(
            "summaries_due",
            "tenant",
            "due_at",
            postgresql_where=text("status = 'queued' AND due_at IS NOT NULL"),
        ),
        # Not by the expiry of the lease: a renewal must change no indexed column, so that it touches no index.
        Index("summaries_processing", "tenant", postgresql_where=text("status = 'processing'")),
    )


class SummarySectionRow(Row):
    """What was made of a section of a long transcript, or (level 1 and up) of several results of the level below.

    `last` is the number of the last sentence, or of the last result, that went into it.
    """

    __tablename__ = "summary_sections"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    level: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    last: Mapped[int] = mapped_column(Integer)
    text: Mapped[str]

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["summaries.job_id"], ondelete="CASCADE", name="summary_sections_summary"),
    )


class SummaryTemplateRow(Row):
    """Instructions for summaries that a tenant keeps; `revision` counts the changes."""

    __tablename__ = "summary_templates"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    name: Mapped[str]
    revision: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    prompt: Mapped[str]

    __table_args__ = (Index("summary_templates_by_name", "tenant", "name", unique=True),)


class SummaryUsageRow(Row):
    """The tokens that one attempt at a summary took, whatever became of it; it stays when the job is deleted."""

    __tablename__ = "summary_usage"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    began_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    key_id: Mapped[uuid.UUID | None]
    model: Mapped[str]
    tags: Mapped[list[str]]
    prompt_tokens: Mapped[int] = mapped_column(BigInteger)
    completion_tokens: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (
        Index("summary_usage_age", "began_at"),
        Index("summary_usage_of_tenant", "tenant", "began_at"),
    )
