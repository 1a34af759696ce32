"""What is derived from a job's audio for browsers."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    ForeignKeyConstraint,
    Index,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import Row


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
