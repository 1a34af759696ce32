"""Jobs, their tags, batches and attempts."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
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
from common.models.base import DEFAULT_TENANT, Row

# The channel of the trigger `jobs_notify` (migrations/sql), which sends the id of each job that changes.
JOB_CHANGES = "paraqueue_jobs"
# Replaces NULL ("no key") in indexes that are scanned value by value.
NO_KEY = uuid.UUID(int=0)
# After losing this many workers without a part in between, a job runs alone until it has committed one.
QUARANTINE_CRASHES = 2
# What a list is sorted and searched by; PostgreSQL recognises the expressions of indexes letter by letter.
SHOWN_NAME = "coalesce(name, source_name, '')"
# Not all of a long name: an entry of an index has a size limit.
NAME_ORDER = f'left(search_folded({SHOWN_NAME} COLLATE "C"), 100)'
STATUSES = ", ".join(f"'{status.value}'" for status in Status)


class JobRow(Row):
    """One transcription request.

    `name` is what a person called it later. `key_id` is the API key of the request, or stands for the caller's other
    credentials; `request_id` and `traceparent` are those of the API call that requested the current run.
    """

    __tablename__ = "jobs"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str] = mapped_column(server_default=text(f"'{DEFAULT_TENANT}'"))
    key_id: Mapped[uuid.UUID | None]
    status: Mapped[str] = mapped_column(server_default=Status.QUEUED.value)
    stage: Mapped[str | None]
    model: Mapped[str]
    channels: Mapped[str]
    audio_track: Mapped[str] = mapped_column(server_default=text("'default'"))
    options: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("5"))
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    name: Mapped[str | None]
    webhook_url: Mapped[str | None]
    webhook_events: Mapped[list[str] | None]
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]

    # Origin of the audio, and where its bytes are stored
    source_kind: Mapped[str]
    source_url: Mapped[str | None]
    source_name: Mapped[str | None]
    audio_key: Mapped[str | None]
    audio_bytes: Mapped[int | None] = mapped_column(BigInteger)
    audio_sha256: Mapped[str | None]
    audio_deleted_at: Mapped[datetime | None]
    dedupe: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    deduplicated_from: Mapped[uuid.UUID | None]

    # What decoding found out about the recording
    tracks: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))
    warnings: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=text("'[]'"))

    # Which group it was submitted with, and its place there
    batch_id: Mapped[uuid.UUID | None]
    batch_number: Mapped[int | None] = mapped_column(SmallInteger)

    # How far it is
    declared_ms: Mapped[int | None] = mapped_column(BigInteger)
    processed_ms: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    audio_ms: Mapped[int | None] = mapped_column(BigInteger)
    run: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    outages: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    crashes: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    isolated_crashes: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    # Scheduling and the current holder
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    dispatched_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    lease_token: Mapped[uuid.UUID | None]
    lease_worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    isolated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))

    # Result
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_retryable: Mapped[bool | None]
    result_model: Mapped[str | None]
    result_revision: Mapped[str | None]
    result_precision: Mapped[str | None]
    result_segmentation: Mapped[str | None]
    result_channels: Mapped[int | None]
    no_speech: Mapped[bool | None]
    processing_ms: Mapped[int | None] = mapped_column(BigInteger)
    result_deleted_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint(f"status IN ({STATUSES})", name="jobs_status_known"),
        CheckConstraint("priority BETWEEN 0 AND 9", name="jobs_priority_range"),
        CheckConstraint("(status = 'processing') = (lease_token IS NOT NULL)", name="jobs_lease_while_processing"),
        Index("jobs_newest", "tenant", "created_at", "id"),
        Index("jobs_by_status", "tenant", "status", "created_at", "id"),
        Index("jobs_longest", "tenant", text("coalesce(audio_ms, 0)"), "id"),
        Index("jobs_by_name", "tenant", text(NAME_ORDER), "id"),
        Index("jobs_name_search", text(f"search_grams(tenant, {SHOWN_NAME}, 1)"), postgresql_using="gin"),
        Index(
            "jobs_waiting",
            "model",
            text("priority DESC"),
            "tenant",
            text(f"coalesce(key_id, '{NO_KEY}'::uuid)"),
            "created_at",
            "id",
            postgresql_where=text("status = 'queued' AND audio_key IS NOT NULL"),
        ),
        Index(
            "jobs_to_fetch",
            "model",
            text("priority DESC"),
            "tenant",
            text(f"coalesce(key_id, '{NO_KEY}'::uuid)"),
            "not_before",
            "id",
            postgresql_where=text("status = 'queued' AND audio_key IS NULL"),
        ),
        Index(
            "jobs_announced",
            "dispatched_at",
            postgresql_where=text("status = 'queued' AND dispatched_at IS NOT NULL"),
        ),
        Index(
            "jobs_suspect",
            "model",
            text("priority DESC"),
            "created_at",
            postgresql_where=text(f"status = 'queued' AND crashes >= {QUARANTINE_CRASHES}"),
        ),
        ForeignKeyConstraint(["batch_id"], ["batches.id"], name="jobs_batch"),
        Index("jobs_of_batch", "batch_id", "status", postgresql_where=text("batch_id IS NOT NULL")),
        Index(
            "jobs_by_audio", "tenant", "audio_sha256", "created_at", postgresql_where=text("audio_sha256 IS NOT NULL")
        ),
        Index(
            "jobs_open_of_key",
            "key_id",
            "status",
            postgresql_where=text("status IN ('queued', 'processing')"),
        ),
        # Not by the expiry of the lease: a renewal must change no indexed column, so that it touches no index.
        Index("jobs_processing", "lease_worker", postgresql_where=text("status = 'processing'")),
        Index(
            "jobs_ended_with_audio",
            "finished_at",
            postgresql_where=text("audio_key IS NOT NULL AND finished_at IS NOT NULL"),
        ),
        Index(
            "jobs_ended_with_result",
            "finished_at",
            postgresql_where=text("result_deleted_at IS NULL AND finished_at IS NOT NULL"),
        ),
        Index(
            "jobs_row_due",
            "finished_at",
            "id",
            postgresql_where=text("result_deleted_at IS NOT NULL AND audio_key IS NULL"),
        ),
    )


class BatchRow(Row):
    """Jobs submitted together; `refused` is a list of [number, code, message]."""

    __tablename__ = "batches"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    key_id: Mapped[uuid.UUID | None]
    total: Mapped[int] = mapped_column(Integer)
    refused: Mapped[list[Any]] = mapped_column(JSONB)

    __table_args__ = (
        Index("batches_newest", "tenant", "created_at", "id"),
        Index("batches_age", "created_at"),
    )


class IdempotencyRow(Row):
    """An idempotent request: in progress while `status` is NULL, then complete with its response."""

    __tablename__ = "idempotency_keys"

    tenant: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    token: Mapped[uuid.UUID]
    lease_expires_at: Mapped[datetime | None]
    fingerprint: Mapped[bytes | None]
    status: Mapped[int | None] = mapped_column(SmallInteger)
    location: Mapped[str | None]
    body: Mapped[bytes | None]
    job_id: Mapped[uuid.UUID | None]
    batch_id: Mapped[uuid.UUID | None]

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="idempotency_keys_job"),
        ForeignKeyConstraint(["batch_id"], ["batches.id"], ondelete="CASCADE", name="idempotency_keys_batch"),
        Index("idempotency_keys_age", "created_at"),
        Index("idempotency_keys_of_job", "job_id", postgresql_where=text("job_id IS NOT NULL")),
        Index("idempotency_keys_of_batch", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
    )


class JobTagRow(Row):
    """A tag of a job, ordered by the age of the job, as pages of a tag's jobs are read. Written by triggers."""

    __tablename__ = "job_tags"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    tag: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    created_at: Mapped[datetime]

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="job_tags_job"),
        Index("job_tags_newest", "tenant", "tag", "created_at", "job_id"),
    )


class AttemptRow(Row):
    """One attempt of a worker to process a job."""

    __tablename__ = "attempts"

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    token: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(Integer)
    worker: Mapped[str]
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    isolated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    resumed_ms: Mapped[int | None] = mapped_column(BigInteger)
    stage_ms: Mapped[dict[str, Any] | None]

    __table_args__ = (ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="attempts_job"),)
