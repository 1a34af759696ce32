"""Moments in a request, as the OpenAPI document says them: RFC 3339, with an offset."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

# Beyond these, a moment may be one in UTC and none in another zone.
YEARS = range(1970, 9999)


def written(value: object) -> object:
    """The value itself; ValueError for one that has not the form of RFC 3339. Pydantic takes plain numbers, too."""
    if not isinstance(value, datetime) and not (
        isinstance(value, str) and value[:4].isascii() and value[:4].isdigit() and value[4:5] == "-"
    ):
        raise ValueError("must have the form 2026-11-22T18:00:00Z")
    return value


def in_utc(value: datetime) -> datetime:
    """The moment in UTC: an offset can be larger than PostgreSQL knows, or lead out of the calendar."""
    try:
        moment = value.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside of the calendar") from None
    if moment.year not in YEARS:
        raise ValueError(f"is not in the years {YEARS.start} to {YEARS.stop - 1}")
    return moment


Moment = Annotated[AwareDatetime, BeforeValidator(written), AfterValidator(in_utc)]
