"""Waiting for something to become true: the only way a test deals with time.

A test must pass on a machine of any speed, so none asserts how long a thing took. It waits for a condition, with an
end so generous that only a real fault reaches it.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
GENEROUS_SECONDS = 180.0
POLL_SECONDS = 0.02


def awaited(
    condition: Callable[[], T | None], seconds: float = GENEROUS_SECONDS, *, every: float = POLL_SECONDS
) -> T | None:
    """The first true value of `condition`, polled; None when the time is up, for callers that judge that themselves."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= deadline:
            return None
        time.sleep(every)
    return value


def until(
    condition: Callable[[], T | None],
    seconds: float = GENEROUS_SECONDS,
    what: object = "it did not happen",
    *,
    every: float = POLL_SECONDS,
) -> T:
    """The first true value of `condition`, polled.

    `what` says what is missing; where it is a function, it is called when the time is up.
    """
    value = awaited(condition, seconds, every=every)
    assert value, f"{what() if callable(what) else what} within {seconds:.0f} s"
    return value


def until_blocked_in(function: Callable[..., Any], threads: int = 1) -> None:
    """Wait until so many threads of this process wait for a lock, an event or a thread inside of `function`."""
    code = function.__code__
    until(
        lambda: sum(_waits_inside(code, frame) for frame in sys._current_frames().values()) >= threads,
        what=f"nobody waits in {function.__qualname__}",
    )


def _waits_inside(code: object, frame: FrameType | None) -> bool:
    if frame is None or frame.f_code.co_filename != threading.__file__:
        return False
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    return frame is not None
