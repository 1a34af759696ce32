"""The rows. Only `common.jobs`, `common.webhooks` and `common.keys` touch them; what leaves those are frozen values."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from common.job_states import Status

Timestamp = DateTime(timezone=True)
# The channel of the trigger `jobs_notify`, which the first migration makes: the id of each job that changes.
JOB_CHANGES = "paraqueue_jobs"
# What belongs to nobody else: jobs from before there were tenants, and all of them where authentication is off.
DEFAULT_TENANT = "default"
# Stands for no key where an index cannot hold NULL among values to step through.
NO_KEY = uuid.UUID(int=0)
# So many workers lost with a job, without a part in between, and it runs alone until it has committed one.
QUARANTINE_CRASHES = 2
STATUSES = ", ".join(f"'{status.value}'" for status in Status)


class Row(DeclarativeBase):
    """What all tables share: the mapping of Python types to PostgreSQL's."""

    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy reads it from the class)
        str: Text,
        datetime: Timestamp,
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        uuid.UUID: Uuid,
        bytes: LargeBinary,
    }


class TenantRow(Row):
    """Whose jobs are whose: all that a caller sees belongs to its tenant. A limit that is NULL is the settings' one."""

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    served_at: Mapped[datetime | None]
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
    """A browser session that somebody signed out of, kept until its cookie would be over anyway."""

    __tablename__ = "ended_sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    expires_at: Mapped[datetime]

    __table_args__ = (Index("ended_sessions_over", "expires_at"),)


class JobRow(Row):
    """One transcription request. `key_id` is the API key that asked, or what stands for it with other credentials;
    `request_id` and `traceparent` are of the call that asked for the present run.
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
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("5"))
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    webhook_url: Mapped[str | None]
    webhook_events: Mapped[list[str] | None]
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]

    # Where the audio comes from, and where its bytes lie once they are ours
    source_kind: Mapped[str]
    source_url: Mapped[str | None]
    source_name: Mapped[str | None]
    audio_key: Mapped[str | None]
    audio_bytes: Mapped[int | None] = mapped_column(BigInteger)
    audio_sha256: Mapped[str | None]
    audio_deleted_at: Mapped[datetime | None]
    dedupe: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    deduplicated_from: Mapped[uuid.UUID | None]

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
    losses: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    losses_alone: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    # Who may work on it
    not_before: Mapped[datetime] = mapped_column(server_default=func.now())
    dispatched_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    lease_token: Mapped[uuid.UUID | None]
    lease_worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    alone: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))

    # What came of it
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
    error_retryable: Mapped[bool | None]
    result_model: Mapped[str | None]
    result_revision: Mapped[str | None]
    result_precision: Mapped[str | None]
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
        Index(
            "jobs_waiting",
            "model",
            text("priority DESC"),
            "tenant",
            text(f"coalesce(key_id, '{NO_KEY}'::uuid)"),
            "created_at",
            "id",
            postgresql_where=text("status = 'queued'"),
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
            postgresql_where=text(f"status = 'queued' AND losses >= {QUARANTINE_CRASHES}"),
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
        Index("jobs_leases", "lease_expires_at", postgresql_where=text("status = 'processing'")),
        Index("jobs_audio_due", "finished_at", postgresql_where=text("audio_key IS NOT NULL")),
        Index("jobs_result_due", "finished_at", postgresql_where=text("result_deleted_at IS NULL")),
        Index(
            "jobs_row_due",
            "finished_at",
            "id",
            postgresql_where=text("result_deleted_at IS NOT NULL AND audio_key IS NULL"),
        ),
    )


class BatchRow(Row):
    """Jobs that were submitted together; `refused` is a list of [number, code, message]."""

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
    """A request that may be repeated: under way while `status` is NULL, then with its answer."""

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
    """A tag of a job, by the age of the job: a page of a tag's jobs is read in this order. A trigger writes it."""

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
    """One try of a worker at a job."""

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
    alone: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    resumed_ms: Mapped[int | None] = mapped_column(BigInteger)
    stage_ms: Mapped[dict[str, Any] | None]

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="attempts_job"),
        Index("attempts_of_job", "job_id", "started_at"),
    )


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


# The function is made by the migration of the search, which says what it answers.
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
        Index("usage_of_key", "key_id", "ended_at"),
        Index("usage_of_model", "model", "ended_at"),
    )


class UploadRow(Row):
    """An upload in many requests. It has the id that its job will have, so that the bytes need not move.

    `received`: bytes that are safe, `length`: all of them, if that is known. `next_part`, `part_bytes`, `multipart_id`
    and `tail` are for storage that speaks S3. Whoever writes holds the lock, a token with an end.
    """

    __tablename__ = "uploads"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str]
    key_id: Mapped[uuid.UUID | None]
    direct: Mapped[bool] = mapped_column(Boolean)
    name: Mapped[str | None]
    metadata_text: Mapped[str | None] = mapped_column("metadata")
    length: Mapped[int | None] = mapped_column(BigInteger)
    received: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    sha256: Mapped[str | None]
    part_bytes: Mapped[int] = mapped_column(BigInteger)
    next_part: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    multipart_id: Mapped[str | None]
    tail: Mapped[str | None]
    lock_token: Mapped[uuid.UUID | None]
    lock_expires_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]

    __table_args__ = (
        Index("uploads_due", "expires_at"),
        Index("uploads_open", "tenant", postgresql_where=text("used_at IS NULL")),
    )


class UploadPartRow(Row):
    """A part of an upload that a storage of S3's kind holds."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str]

    __table_args__ = (ForeignKeyConstraint(["upload_id"], ["uploads.id"], ondelete="CASCADE", name="upload_parts_of"),)


class DerivedObject:
    """Something that is made of a job's audio when it is asked for; see `common.renditions`."""

    job_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    source_key: Mapped[str]
    status: Mapped[str]
    key: Mapped[str | None]
    error_message: Mapped[str | None]
    token: Mapped[uuid.UUID | None]
    lease_expires_at: Mapped[datetime | None]
    requested_at: Mapped[datetime] = mapped_column(server_default=func.now())


class RenditionRow(DerivedObject, Row):
    """The audio of a job made over into a form that browsers play."""

    __tablename__ = "renditions"

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="renditions_job"),
        Index("renditions_wanted", "requested_at", postgresql_where=text("status = 'wanted'")),
    )


class PeaksRow(DerivedObject, Row):
    """How loud the audio of a job is at each moment, for drawing it."""

    __tablename__ = "peaks"

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="peaks_job"),
        Index("peaks_wanted", "requested_at", postgresql_where=text("status = 'wanted'")),
    )


class WorkerRow(Row):
    """A GPU worker process that is, or was, alive. `reserved_for` is the job that it takes next, and alone.

    `drain` is what an operator asked for (`common.jobs.scheduling.workers.Drain`), `draining` what the worker reports.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str]
    revision: Mapped[str]
    precision: Mapped[str]
    device: Mapped[str]
    slots: Mapped[int] = mapped_column(Integer)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    heartbeat_at: Mapped[datetime] = mapped_column(server_default=func.now())
    draining: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    drain: Mapped[str | None]
    reserved_for: Mapped[uuid.UUID | None]


class EndpointRow(Row):
    """A receiver of webhooks; its secrets are encrypted."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str] = mapped_column(server_default=text(f"'{DEFAULT_TENANT}'"))
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    url: Mapped[str]
    description: Mapped[str] = mapped_column(server_default=text("''"))
    events: Mapped[list[str]]
    enabled: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    disabled_reason: Mapped[str | None]
    secret: Mapped[bytes]
    previous_secret: Mapped[bytes | None]
    previous_secret_until: Mapped[datetime | None]


class DeliveryRow(Row):
    """An event for one receiver: to be sent (the outbox), then the log of it.

    `attempts` counts all tries, `failures` those of the present plan; `next_attempt_at` is the end of the lease
    while it is being sent. `url` is set for a job's own URL only.
    """

    __tablename__ = "deliveries"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    tenant: Mapped[str] = mapped_column(server_default=text(f"'{DEFAULT_TENANT}'"))
    event: Mapped[str]
    job_id: Mapped[uuid.UUID | None]
    batch_id: Mapped[uuid.UUID | None]
    endpoint_id: Mapped[uuid.UUID | None]
    url: Mapped[str | None]
    lane: Mapped[str]
    payload: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    traceparent: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=text("'pending'"))
    attempts: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    next_attempt_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_attempt_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    last_status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None]
    answer: Mapped[str | None]

    __table_args__ = (
        CheckConstraint("status IN ('pending', 'delivered', 'dead')", name="deliveries_status_known"),
        # `delete_job` keeps the log and wipes what it says; a path that forgets to wipe loses the row as well.
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="deliveries_job"),
        ForeignKeyConstraint(["endpoint_id"], ["webhook_endpoints.id"], ondelete="CASCADE", name="deliveries_endpoint"),
        Index("deliveries_due", "next_attempt_at", postgresql_where=text("status = 'pending'")),
        Index("deliveries_newest", "created_at", "id"),
        Index("deliveries_of_tenant", "tenant", "created_at", "id"),
        Index("deliveries_of_job", "job_id", "created_at", "id", postgresql_where=text("job_id IS NOT NULL")),
        Index("deliveries_of_endpoint", "endpoint_id", "created_at", "id"),
        Index("deliveries_waiting", "endpoint_id", postgresql_where=text("status = 'pending'")),
        Index("deliveries_dead", "endpoint_id", "created_at", "id", postgresql_where=text("status = 'dead'")),
    )
