"""Times of stages that take turns."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from worker.engine.stopwatch import Stopwatch


@dataclass
class Clock:
    """A clock that only the test moves, in seconds."""

    now: float = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    monkeypatch.setattr(time, "time_ns", lambda: round(made.now * 1e9))
    return made


def spend(clock: Clock, seconds: float) -> None:
    clock.now += seconds


def test_turns_add_up_and_the_span_reaches_from_the_first_to_the_last(clock: Clock) -> None:
    watch = Stopwatch()
    for _ in range(2):
        with watch.time("a"):
            spend(clock, 2)
        assert watch.call("b", lambda x: (spend(clock, 0.5), x + 1)[1], 1) == 2
    stages = watch.take()
    assert {name: stage.seconds for name, stage in stages.items()} == {"a": 4, "b": 1}
    assert (stages["a"].began_ns, stages["a"].ended_ns) == (1000_000_000_000, 1004_500_000_000)


def test_what_was_taken_begins_anew() -> None:
    watch = Stopwatch()
    watch.call("a", int)
    watch.take()
    assert watch.take() == {}


def test_a_stage_that_fails_was_spent_nevertheless(clock: Clock) -> None:
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.time("a"):
        spend(clock, 3)
        raise ZeroDivisionError
    assert watch.take()["a"].seconds == 3
