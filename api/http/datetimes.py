"""Timestamps in requests, in the format of the OpenAPI document: RFC 3339, with an offset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

# Outside these years, a timestamp may exist in UTC but not in another time zone.
YEARS = range(1970, 9999)


def written(value: object) -> object:
    """Return the value; raise ValueError if it is not in RFC 3339 format. Pydantic would accept plain numbers, too."""
    if not isinstance(value, datetime) and not (
        isinstance(value, str) and value[:4].isascii() and value[:4].isdigit() and value[4:5] == "-"
    ):
        raise ValueError("must have the form 2026-11-22T18:00:00Z")
    return value


def in_utc(value: datetime) -> datetime:
    """Convert to UTC: an offset can be larger than PostgreSQL supports, or lead outside the calendar."""
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the calendar") from None
    if moment.year not in YEARS:
        raise ValueError(f"is not in the years {YEARS.start} to {YEARS.stop - 1}")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(written), AfterValidator(in_utc)]
