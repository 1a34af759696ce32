"""Worker processes."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Integer,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import Row


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
    card: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    heartbeat_at: Mapped[datetime] = mapped_column(server_default=func.now())
    draining: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    drain: Mapped[str | None]
    reserved_for: Mapped[uuid.UUID | None]
