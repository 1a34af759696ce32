"""Days and times as people type them, in their own time zone."""

from __future__ import annotations

from datetime import datetime, timedelta

import typer


def begin_of(text: str | None) -> datetime | None:
    """Return the time, or the first moment of a day."""
    return None if text is None else _parsed(text)


def end_of(text: str | None) -> datetime | None:
    """Return the time, or the first moment after a day."""
    if text is None:
        return None
    moment = _parsed(text)
    return moment + timedelta(days=1) if _is_day(text) else moment


def _parsed(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a day like 2026-11-01 nor a time like 2026-11-01T14:30"
        ) from None
    return moment if moment.tzinfo else moment.astimezone()


def _is_day(text: str) -> bool:
    return "T" not in text and ":" not in text
