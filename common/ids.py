"""Ids: UUIDv7 inside, shown to clients with a prefix that says what they name."""

from __future__ import annotations

import uuid

import uuid6

from common.errors import NotFound

JOB = "tr"
WEBHOOK = "wh"
DELIVERY = "dl"
BATCH = "batch"
UPLOAD = "up"
KEY = "key"


def new_id() -> uuid.UUID:
    """A UUIDv7: sorts by the time it was made, so that indexes grow at their end."""
    return uuid.UUID(int=uuid6.uuid7().int)


def shown(prefix: str, value: uuid.UUID) -> str:
    """The public form, e.g. `tr_0197…`."""
    return f"{prefix}_{value.hex}"


def parsed(prefix: str, text: str) -> uuid.UUID:
    """The UUID behind a public id. NotFound where the text is not such an id."""
    _, _, tail = text.partition("_")
    try:
        value = uuid.UUID(hex=tail)
    except ValueError:
        raise NotFound(f"not found: {text!r}") from None
    if shown(prefix, value) != text:  # Python reads other spellings of a number too
        raise NotFound(f"not found: {text!r}")
    return value
