"""Resumable uploads."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    ForeignKeyConstraint,
    Index,
    Integer,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from common.models.base import Row


class UploadRow(Row):
    """A resumable upload; its job will have the same id, so the bytes need not be moved.

    `received` is the number of durably stored bytes, `length` the total, if known. `next_part`, `part_bytes`,
    `multipart_id` and `tail` are used only by S3-compatible storage. A writer holds the lock, a token that expires.
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
    """A part of an upload in S3-compatible storage."""

    __tablename__ = "upload_parts"

    upload_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    etag: Mapped[str]

    __table_args__ = (ForeignKeyConstraint(["upload_id"], ["uploads.id"], ondelete="CASCADE", name="upload_parts_of"),)
