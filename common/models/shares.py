"""Links with which people without a key read one transcript."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import BigInteger, Boolean, ForeignKeyConstraint, Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import Row


class ShareRow(Row):
    """A share link; only the hash of its token is kept. `made_by` is the API key, with which the link ends."""

    __tablename__ = "shares"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    job_id: Mapped[uuid.UUID]
    made_by: Mapped[uuid.UUID | None]
    hash: Mapped[bytes]
    audio: Mapped[bool] = mapped_column(Boolean)
    expires_at: Mapped[datetime]
    last_used_at: Mapped[datetime | None]
    views: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))

    __table_args__ = (
        ForeignKeyConstraint(["job_id"], ["jobs.id"], ondelete="CASCADE", name="shares_job"),
        Index("shares_by_hash", "hash", unique=True),
        Index("shares_of_job", "job_id", "created_at", "id"),
        Index("shares_over", "expires_at"),
    )
