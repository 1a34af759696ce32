"""Days and times as people type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer

from paraqueue.cli.dates import begin_of, end_of


def test_a_day_is_a_whole_one_in_local_time() -> None:
    begin, end = begin_of("2026-11-01"), end_of("2026-11-01")
    assert begin is not None
    assert end is not None
    assert begin == datetime(2026, 11, 1).astimezone()
    assert end - begin == timedelta(days=1)


def test_a_time_is_itself() -> None:
    assert begin_of("2026-11-01T14:30Z") == end_of("2026-11-01T14:30Z") == datetime(2026, 11, 1, 14, 30, tzinfo=UTC)
    assert begin_of(None) is end_of(None) is None


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="neither a day"):
        begin_of(text)
