"""Time limits for work done in many small steps."""

from __future__ import annotations

import time
from collections.abc import Callable


def never() -> bool:
    """Return False: no early end is ever requested."""
    return False


class TimeLimit:
    """A limit reached after some seconds, or as soon as an early end is requested."""

    def __init__(self, seconds: float, stopping: Callable[[], bool] = never) -> None:
        self._ends_at = time.monotonic() + seconds
        self._stopping = stopping

    @property
    def over(self) -> bool:
        """Whether no further step should begin."""
        return self._stopping() or time.monotonic() >= self._ends_at

    def at_most(self, seconds: float) -> TimeLimit:
        """Return a limit within this one, of at most `seconds`."""
        return TimeLimit(min(seconds, self._ends_at - time.monotonic()), self._stopping)

    def until_done(self, step: Callable[[], int]) -> int:
        """Repeat a step until it finds nothing to do or the limit is reached; returns the sum of the results."""
        done = 0
        while not self.over and (processed := step()):
            done += processed
        return done
