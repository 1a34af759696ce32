"""Cursors of lists that are ordered by (created_at, id), newest first."""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import UTC, datetime

from common.errors import InvalidRequest


def encoded(created_at: datetime, row_id: uuid.UUID) -> str:
    """The cursor behind a row."""
    plain = f"{created_at.isoformat()}|{row_id.hex}"
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def decoded(cursor: str) -> tuple[datetime, uuid.UUID]:
    """Where a cursor points. Raises InvalidRequest for one that is not ours."""
    try:
        plain = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        created_at, _, row_id = plain.partition("|")
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None:
            raise ValueError("a cursor's time must have a time zone")
        # PostgreSQL knows fewer offsets than Python, and no year 0.
        return moment.astimezone(UTC), uuid.UUID(hex=row_id)
    except (ValueError, OverflowError, binascii.Error, UnicodeError):
        raise InvalidRequest("`after` is not a valid cursor") from None
