"""Waiting for something to become true: the only way a test deals with time.

A test must pass on a machine of any speed, so none asserts how long a thing took. It waits for a condition, with an
end so generous that only a real fault reaches it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
GENEROUS_SECONDS = 60.0
POLL_SECONDS = 0.02


def until(condition: Callable[[], T], seconds: float = GENEROUS_SECONDS, what: object = "it did not happen") -> T:
    """The first true value of `condition`, polled.

    `what` says what is missing; where it is a function, it is called when the time is up.
    """
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{what() if callable(what) else what} within {seconds:.0f} s"
        time.sleep(POLL_SECONDS)
    return value
