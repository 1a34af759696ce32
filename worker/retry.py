"""Whether an attempt that failed is followed by another, and when. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import ParaqueueError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off: `base` seconds, doubled with each failure, at most `longest`."""

    max_attempts: int
    base_seconds: float
    longest_seconds: float

    def pause(self, error: ParaqueueError, failures: int, *, jitter: float) -> float | None:
        """Seconds until the next attempt, or None where the error is final.

        `failures` counts the failed attempts before this one; `jitter`, 0 to 1, spreads jobs that failed
        together over the upper half of the pause.
        """
        if not error.retryable or failures + 1 >= self.max_attempts:
            return None
        pause = min(self.base_seconds * 2.0**failures, self.longest_seconds)
        return pause * (0.5 + 0.5 * jitter)
