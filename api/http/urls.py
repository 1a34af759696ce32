"""Syntax checks of URLs in requests. The workers check whether connecting to the address is allowed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field


def checked_link(value: str, schemes: Collection[str]) -> str:
    """Return the URL. Raises ValueError, with a message for the client, if it has no host or contains credentials."""
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
    """Return the URL in a form that is safe to show: its query may contain a signature or a token."""
    return url.partition("?")[0].partition("#")[0]


WebhookUrl = Annotated[
    str,
    Field(max_length=2048, examples=["https://example.com/hooks/paraqueue"]),
    AfterValidator(lambda value: checked_link(value, {"http", "https"})),
]
