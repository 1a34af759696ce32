"""Days and times as people type them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer

from paraqueue.cli.dates import begin_of, end_of

Zone = Callable[[str], None]


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Zone]:
    """Change the local time zone."""

    def change(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield change
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-06-01", 24), ("2026-10-25", 25)])
def test_a_day_is_a_whole_one_in_local_time(zone: Zone, day: str, hours: int) -> None:
    zone("Europe/Berlin")
    begin, end = begin_of(day), end_of(day)
    assert begin is not None
    assert end is not None
    assert begin == datetime.fromisoformat(day).astimezone()
    assert end.astimezone(UTC) - begin.astimezone(UTC) == timedelta(hours=hours)
    assert (end.hour, end.minute) == (0, 0)


def test_a_day_begins_at_its_first_moment_where_there_is_no_midnight(zone: Zone) -> None:
    zone("Asia/Beirut")  # at midnight, clocks go to one o'clock
    assert begin_of("2026-03-29") == end_of("2026-03-28") == datetime(2026, 3, 28, 22, tzinfo=UTC)


def test_a_day_can_be_one_of_another_time_zone(zone: Zone) -> None:
    zone("America/New_York")
    assert begin_of("2026-11-01", UTC) == datetime(2026, 11, 1, tzinfo=UTC)
    assert end_of("2026-11-01", UTC) == datetime(2026, 11, 2, tzinfo=UTC)
    assert begin_of("2026-11-01T14:30", UTC) == datetime(2026, 11, 1, 14, 30, tzinfo=UTC)


@pytest.mark.parametrize("text", ["2026-11-01T14:30Z", "2026-11-01 14:30+00:00", "2026-11-01T15:30+01:00"])
def test_a_time_is_itself(text: str) -> None:
    assert begin_of(text) == end_of(text) == datetime(2026, 11, 1, 14, 30, tzinfo=UTC)
    assert begin_of(None) is end_of(None) is None


def test_an_hour_without_minutes_is_a_time(zone: Zone) -> None:
    zone("Asia/Shanghai")
    assert begin_of("2026-11-01 14") == end_of("2026-11-01 14") == datetime(2026, 11, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "", "9999-12-31"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="neither a day"):
        end_of(text)
