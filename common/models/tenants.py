"""Tenants, their API keys and their usage."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import Row


class TenantRow(Row):
    """The owner of jobs: a caller sees only what belongs to its tenant. NULL limits are those of the settings."""

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    served_at: Mapped[datetime | None]
    sharing: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    voices: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    max_running: Mapped[int | None] = mapped_column(Integer)
    max_queued: Mapped[int | None] = mapped_column(Integer)
    audio_minutes_per_day: Mapped[int | None] = mapped_column(Integer)
    audio_minutes_per_month: Mapped[int | None] = mapped_column(Integer)
    max_upload_bytes: Mapped[int | None] = mapped_column(BigInteger)


class ApiKeyRow(Row):
    """A key that a program calls the API with; only its hash is kept. A limit that is NULL or 0 is its tenant's."""

    __tablename__ = "api_keys"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    name: Mapped[str]
    hash: Mapped[bytes]
    previous_hash: Mapped[bytes | None]
    previous_until: Mapped[datetime | None]
    hint: Mapped[str]
    scopes: Mapped[list[str]]
    last_used_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    made_by: Mapped[uuid.UUID | None]
    max_priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("5"))
    requests_per_minute: Mapped[int | None] = mapped_column(Integer)
    max_running: Mapped[int | None] = mapped_column(Integer)
    max_queued: Mapped[int | None] = mapped_column(Integer)
    audio_minutes_per_day: Mapped[int | None] = mapped_column(Integer)
    audio_minutes_per_month: Mapped[int | None] = mapped_column(Integer)
    max_upload_bytes: Mapped[int | None] = mapped_column(BigInteger)

    __table_args__ = (
        ForeignKeyConstraint(["tenant"], ["tenants.name"], name="api_keys_tenant"),
        Index("api_keys_by_hash", "hash", unique=True),
        Index("api_keys_by_previous_hash", "previous_hash", unique=True),
        Index("api_keys_of_tenant", "tenant", "created_at", "id"),
        Index("api_keys_made_by", "made_by", postgresql_where=text("made_by IS NOT NULL")),
    )


class EndedSessionRow(Row):
    """A browser session that was signed out, kept until its cookie would have expired."""

    __tablename__ = "ended_sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ended_sessions_over", "expires_at"),)


class UsageRow(Row):
    """What one run of a job came to; it stays when the job is deleted."""

    __tablename__ = "usage"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer, primary_key=True)
    ended_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    key_id: Mapped[uuid.UUID | None]
    model: Mapped[str]
    tags: Mapped[list[str]]
    status: Mapped[str]
    error_code: Mapped[str | None]
    audio_ms: Mapped[int] = mapped_column(BigInteger)
    processing_ms: Mapped[int] = mapped_column(BigInteger)
    channels: Mapped[int] = mapped_column(Integer, server_default=text("1"))

    __table_args__ = (
        Index("usage_age", "ended_at"),
        Index("usage_of_tenant", "tenant", "ended_at"),
        Index("usage_of_model", "model", "ended_at"),
    )


class UsageDailyRow(Row):
    """The audio of a key's runs that ended on a day (UTC), for quotas, so that `usage` need not be summed.

    Each separately transcribed channel counts.
    """

    __tablename__ = "usage_daily"

    key_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    tenant: Mapped[str] = mapped_column(server_default=text("''"))
    audio_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("usage_daily_age", "day"), Index("usage_daily_of_tenant", "tenant", "day"))
