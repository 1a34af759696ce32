"""Ids: UUIDv7 inside, shown to clients with a prefix that says what they name."""

from __future__ import annotations

import uuid

import uuid6

from common.errors import NotFound

JOB = "tr"


def new_id() -> uuid.UUID:
    """A UUIDv7: sorts by the time it was made, so that indexes grow at their end."""
    return uuid.UUID(int=uuid6.uuid7().int)


def shown(prefix: str, value: uuid.UUID) -> str:
    """The public form, e.g. `tr_0197…`."""
    return f"{prefix}_{value.hex}"


def parsed(prefix: str, text: str) -> uuid.UUID:
    """The UUID behind a public id. NotFound where the text is not such an id."""
    head, separator, tail = text.partition("_")
    if head != prefix or not separator or len(tail) != 32:
        raise NotFound(f"there is no {text!r}")
    try:
        return uuid.UUID(hex=tail)
    except ValueError:
        raise NotFound(f"there is no {text!r}") from None
