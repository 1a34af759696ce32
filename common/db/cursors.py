"""Pagination cursors: of lists ordered by (created_at, id), and of lists ordered by another value and the id."""

from __future__ import annotations

import base64
import binascii
import json
import re
import uuid
from datetime import UTC, datetime
from typing import TypeVar

from common.errors import InvalidRequest

INVALID = "`after` is not a valid cursor"
MOST_INTEGER = 2**63
Key = TypeVar("Key", int, str)


def encoded(created_at: datetime, row_id: uuid.UUID, *, kind: str = "") -> str:
    """Return the cursor that points just after a row; a cursor of one kind is invalid as one of another."""
    return _wrapped(f"{kind}{created_at.isoformat()}|{row_id.hex}")


def decoded(cursor: str, *, kind: str = "") -> tuple[datetime, uuid.UUID]:
    """Return the position that a cursor encodes. Raises InvalidRequest if the cursor is invalid."""
    try:
        plain = _unwrapped(cursor)
        if not plain.startswith(kind):
            raise ValueError("a cursor of another list")
        created_at, _, row_id = plain.removeprefix(kind).partition("|")
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None:
            raise ValueError("a cursor's time must have a time zone")
        # PostgreSQL supports fewer UTC offsets than Python, and no year 0.
        return moment.astimezone(UTC), uuid.UUID(hex=row_id)
    except (ValueError, OverflowError, binascii.Error, UnicodeError):
        raise InvalidRequest(INVALID) from None


def encoded_key(kind: str, key: int | str, row_id: uuid.UUID) -> str:
    """Return the cursor that points just after a row of a list that is ordered by a key and the id."""
    return _wrapped(json.dumps([kind, key, row_id.hex], ensure_ascii=False))


def decoded_key(cursor: str, kind: str, of: type[Key]) -> tuple[Key, uuid.UUID]:
    """Return the position in a list of this kind, whose keys are of this type. Raises InvalidRequest."""
    try:
        its_kind, key, row_id = json.loads(_unwrapped(cursor))
        if its_kind != kind or type(key) is not of:
            raise ValueError("a cursor of another list")
        if isinstance(key, int) and not -MOST_INTEGER <= key < MOST_INTEGER:
            raise ValueError("no key of PostgreSQL")
        if isinstance(key, str) and re.search("[\x00\ud800-\udfff]", key):
            raise ValueError("no text of PostgreSQL")
        return key, uuid.UUID(hex=row_id)
    except (ValueError, TypeError, AttributeError, RecursionError, binascii.Error, UnicodeError):
        raise InvalidRequest(INVALID) from None


def _wrapped(plain: str) -> str:
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _unwrapped(cursor: str) -> str:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
