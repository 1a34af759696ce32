"""What a URL in a request must look like. Whether its address may be connected to, the workers check."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field


def checked_link(value: str, schemes: Collection[str]) -> str:
    """The URL itself. ValueError, in words for the client, for one that names no host or holds credentials."""
    if any(character.isspace() or not character.isprintable() for character in value):
        raise ValueError("contains whitespace or control characters; percent-encode them")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with one of {', '.join(sorted(f'{name}://' for name in schemes))}")
    if not parts.hostname or port == 0:
        raise ValueError("has no host or bucket")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password")
    return value


def without_query(url: str) -> str:
    """The URL as it may be shown: its query may hold a signature or a token."""
    return url.partition("?")[0].partition("#")[0]


WebhookUrl = Annotated[
    str,
    Field(max_length=2048, examples=["https://example.com/hooks/paraqueue"]),
    AfterValidator(lambda value: checked_link(value, {"http", "https"})),
]
