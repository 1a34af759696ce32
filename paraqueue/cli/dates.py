"""Days and times as people type them. Without an offset they are local, or in the time zone that is passed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, tzinfo

import typer


def begin_of(text: str | None, zone: tzinfo | None = None) -> datetime | None:
    """Return the time, or the first moment of a day."""
    return None if text is None else _moment(text, zone, days=0)


def end_of(text: str | None, zone: tzinfo | None = None) -> datetime | None:
    """Return the time, or the first moment after a day: 23 to 25 hours later where clocks change."""
    return None if text is None else _moment(text, zone, days=1)


def _moment(text: str, zone: tzinfo | None, *, days: int) -> datetime:
    """Return the time, or the midnight `days` after the beginning of a day."""
    try:
        day = _day(text)
        moment = datetime.fromisoformat(text) if day is None else datetime.combine(day + timedelta(days), time())
        if moment.tzinfo is None:
            # By way of the timestamp: `astimezone` is an hour off for a midnight that a change of clocks leaves out.
            moment = datetime.fromtimestamp(moment.replace(tzinfo=zone).timestamp(), UTC).astimezone(zone)
        return moment
    except (OverflowError, ValueError):
        raise typer.BadParameter(
            f"{text!r} is neither a day like 2026-11-01 nor a time like 2026-11-01T14:30"
        ) from None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
