"""How long a piece of work that comes in many small steps may go on."""

from __future__ import annotations

import time
from collections.abc import Callable


def never() -> bool:
    """Nobody asks for an early end."""
    return False


class TimeLimit:
    """Over after some seconds, or as soon as somebody asks for an early end."""

    def __init__(self, seconds: float, stopping: Callable[[], bool] = never) -> None:
        self._ends_at = time.monotonic() + seconds
        self._stopping = stopping

    @property
    def over(self) -> bool:
        """Whether to begin nothing more."""
        return self._stopping() or time.monotonic() >= self._ends_at

    def at_most(self, seconds: float) -> TimeLimit:
        """A limit within this one."""
        return TimeLimit(min(seconds, self._ends_at - time.monotonic()), self._stopping)

    def until_done(self, step: Callable[[], int]) -> int:
        """Take a step again and again until it finds nothing to do or the time is over; returns the sum."""
        done = 0
        while not self.over and (found := step()):
            done += found
        return done
