"""Decides whether and when a failed attempt is retried. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from common.errors import DecodeStalled, ParaqueueError, StorageFull, StorageUnavailable, Unavailable
from common.settings.lifecycle import RetrySettings

# A dependency is unavailable: the job is not to blame, and no other job would succeed.
OUTAGES = (DecodeStalled, StorageFull, StorageUnavailable, Unavailable)
LONGEST_PAUSE_SECONDS = 900.0
# With pauses of at most 15 minutes, most of a day.
MAX_OUTAGE_ATTEMPTS = 100


def is_outage(error: ParaqueueError) -> bool:
    """Whether the error is caused by a dependency of the service."""
    return isinstance(error, OUTAGES)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff: `base_seconds`, doubled with each failure, at most `longest_seconds`.

    Errors in OUTAGES allow up to `max_outage_attempts` attempts, all others up to `max_attempts`; each kind is counted
    separately.
    """

    max_attempts: int
    base_seconds: float
    longest_seconds: float = LONGEST_PAUSE_SECONDS
    max_outage_attempts: int = MAX_OUTAGE_ATTEMPTS

    @classmethod
    def of(cls, settings: RetrySettings) -> RetryPolicy:
        """Return the policy according to the settings."""
        return cls(settings.max_attempts, settings.retry_base_seconds)

    def pause(self, error: ParaqueueError, failures: int, outages: int = 0, *, jitter: float) -> float | None:
        """Seconds until the next attempt, or None if the error is final.

        `failures` and `outages` count the earlier attempts of each kind since the last part was committed; `jitter`,
        0 to 1, spreads jobs that failed together over the upper half of the pause.
        """
        outage = is_outage(error)
        before, most = (outages, self.max_outage_attempts) if outage else (failures, self.max_attempts)
        if not error.retryable or before + 1 >= most:
            return None
        # The exponent is bounded: a float overflows long before the attempts run out.
        pause = min(self.base_seconds * 2.0 ** min(before, 100), self.longest_seconds)
        return pause * (0.5 + 0.5 * jitter)
