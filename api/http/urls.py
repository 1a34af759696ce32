"""URLs in requests and responses."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from common.links import HTTP_SCHEMES, checked_link


def without_query(url: str) -> str:
    """Return the URL in a form that is safe to show: its query may contain a signature or a token."""
    return url.partition("?")[0].partition("#")[0]


WebhookUrl = Annotated[
    str,
    Field(max_length=2048, examples=["https://example.com/hooks/paraqueue"]),
    AfterValidator(lambda value: checked_link(value, HTTP_SCHEMES)),
]
