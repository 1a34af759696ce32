"""The size of batches while the engine runs: smaller after an out-of-memory, and larger again when that has passed."""

from __future__ import annotations

SMALLEST_SECONDS = 1.0
RECOVERY_BATCHES = 16
"""Batches that must fit before the budget grows by a step; twice as many where it grew back too early."""

MOST_RECOVERY_BATCHES = 4096
GROWTH = 1.25


class AdaptiveBudget:
    """Padded seconds that a batch may have. Not safe for use from several threads; `seconds` may be read from any."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._configured = seconds
        self._patience = RECOVERY_BATCHES
        self._fitted = 0

    def lower(self, padded_seconds: float) -> None:
        """A batch ran out of memory; batches of `padded_seconds` are tried instead."""
        if self._fitted:  # it grew back too early
            self._patience = min(2 * self._patience, MOST_RECOVERY_BATCHES)
        self.seconds = max(min(self.seconds, padded_seconds), min(SMALLEST_SECONDS, self._configured))
        self._fitted = 0

    def fitted(self, padded_seconds: float) -> None:
        """A batch fitted into memory. What had filled it may be gone: another process, a fragmented allocator.

        Batches that are much smaller than the budget show nothing, and do not count.
        """
        if self.seconds >= self._configured or padded_seconds < self.seconds / 2:
            return
        self._fitted += 1
        if self._fitted % self._patience == 0:
            self.seconds = min(GROWTH * self.seconds, self._configured)
