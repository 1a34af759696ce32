"""One range of bytes, as RFC 9110 has it."""

from __future__ import annotations

import re
from dataclasses import dataclass

ONE_RANGE = re.compile(r"bytes=\s*(?:(\d{1,18})-(\d{1,18})?|-(\d{1,18}))\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` up to, not including, `end`."""

    start: int
    end: int


class Unsatisfiable(Exception):
    """No byte of the thing is in the range."""


def asked_for(header: str | None, size: int) -> Span | None:
    """The range that a client wants of `size` bytes; None for the whole thing, also where the header is no single
    range: a server may leave those out. Raises Unsatisfiable.
    """
    found = ONE_RANGE.fullmatch(header) if header is not None else None
    if found is None:
        return None
    first, last, suffix = found.groups()
    if suffix is not None:
        start, end = max(0, size - int(suffix)), size
    else:
        start, end = int(first), size if last is None else min(size, int(last) + 1)
        if last is not None and int(last) < int(first):
            return None
    if start >= size or end <= start:
        raise Unsatisfiable
    return Span(start, end)
