"""Single byte ranges according to RFC 9110."""

from __future__ import annotations

import re
from dataclasses import dataclass

ONE_RANGE = re.compile(r"bytes=\s*(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """The bytes from `start` up to, but not including, `end`."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """The range contains no byte of the content."""


def asked_for(header: str | None, size: int) -> Span | None:
    """Return the requested range of `size` bytes; None for the whole content.

    Headers that are not a single range also return None, because a server may ignore them. Raises Unsatisfiable.
    """
    match = ONE_RANGE.fullmatch(header) if header is not None else None
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), size if last is None else min(size, int(last) + 1)
        if last is not None and int(last) < int(first):
            return None
    if start >= size or end <= start:
        raise Unsatisfiable
    return Span(start, end)
