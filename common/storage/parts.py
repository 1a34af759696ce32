"""The parts of a multipart upload."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part of a multipart upload."""

    number: int
    size: int
    etag: str
