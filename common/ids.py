"""Ids: UUIDv7 internally, shown to clients with a prefix that names the kind of resource."""

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
VOCABULARY = "voc"
SHARE = "shr"
SUMMARY_TEMPLATE = "tpl"


def new_id() -> uuid.UUID:
    """Return a UUIDv7: ids sort by creation time, so indexes grow at their end."""
    return uuid.UUID(int=uuid6.uuid7().int)


def shown(prefix: str, value: uuid.UUID) -> str:
    """Return the public form, e.g. `tr_0197…`."""
    return f"{prefix}_{value.hex}"


def missing(prefix: str, value: uuid.UUID) -> NotFound:
    """Return the error for an id of which there is no resource, or one of another tenant."""
    return NotFound(f"not found: {shown(prefix, value)!r}")


def parsed(prefix: str, text: str) -> uuid.UUID:
    """Return the UUID of a public id. Raises NotFound if the text is not a valid id of this kind."""
    _, _, tail = text.partition("_")
    try:
        value = uuid.UUID(hex=tail)
    except ValueError:
        raise NotFound(f"not found: {text!r}") from None
    if shown(prefix, value) != text:  # Python also accepts other spellings of a number
        raise NotFound(f"not found: {text!r}")
    return value
