"""Tenants, their API keys and their usage."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import (
    BigInteger,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import Row


class TenantRow(Row):
    """A tenant, the owner of jobs: all resources that a caller can see belong to its tenant."""

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    served_at: Mapped[datetime | None]


class ApiKeyRow(Row):
    """An API key, of which only the hash is stored; a limit that is NULL uses the value from the settings."""

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
    )


class EndedSessionRow(Row):
    """A browser session that was signed out, kept until its cookie would have expired."""

    __tablename__ = "ended_sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ended_sessions_over", "expires_at"),)


class UsageRow(Row):
    """The usage of one run of a job; kept when the job is deleted."""

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

    __table_args__ = (
        Index("usage_age", "ended_at"),
        Index("usage_of_tenant", "tenant", "ended_at"),
        Index("usage_of_key", "key_id", "ended_at"),
        Index("usage_of_model", "model", "ended_at"),
    )


class UsageDailyRow(Row):
    """The daily (UTC) audio totals of a key's ended runs, for checking quotas without summing `usage`."""

    __tablename__ = "usage_daily"

    key_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    audio_ms: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index("usage_daily_age", "day"),)
