"""Times of stages that take turns."""

from __future__ import annotations

import time

import pytest

from worker.engine.stopwatch import Stopwatch


def test_turns_add_up_and_the_span_reaches_from_the_first_to_the_last() -> None:
    watch = Stopwatch()
    began = time.time()
    for _ in range(2):
        with watch.time("a"):
            time.sleep(0.02)
        assert watch.call("b", lambda x: x + 1, 1) == 2
    stages = watch.take()
    assert set(stages) == {"a", "b"}
    assert 0.04 <= stages["a"].seconds < 1
    assert stages["b"].seconds < stages["a"].seconds
    assert began - 0.1 <= stages["a"].began_ns / 1e9 <= stages["a"].ended_ns / 1e9 <= time.time() + 0.1
    assert (stages["a"].ended_ns - stages["a"].began_ns) / 1e9 >= stages["a"].seconds - 0.001


def test_what_was_taken_begins_anew() -> None:
    watch = Stopwatch()
    watch.call("a", int)
    watch.take()
    assert watch.take() == {}


def test_a_stage_that_fails_was_spent_nevertheless() -> None:
    watch = Stopwatch()
    with pytest.raises(ZeroDivisionError), watch.time("a"):
        time.sleep(0.01)
        raise ZeroDivisionError
    assert watch.take()["a"].seconds >= 0.01
