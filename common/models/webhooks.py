"""Webhook endpoints and the outbox."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import DEFAULT_TENANT, Row


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
