"""Adapts the batch size at run time: smaller after an out-of-memory error, larger again once memory is available."""

from __future__ import annotations

SMALLEST_SECONDS = 1.0
RECOVERY_BATCHES = 16
"""Batches that must fit before the budget grows by a step; twice as many where it grew back too early."""

MOST_RECOVERY_BATCHES = 4096
GROWTH = 1.25


class AdaptiveBudget:
    """The padded seconds allowed in a batch. Not thread-safe, except that `seconds` may be read from any thread."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._configured = seconds
        self._patience = RECOVERY_BATCHES
        self._fitted = 0

    def lower(self, padded_seconds: float) -> None:
        """Lower the budget to `padded_seconds` after a batch ran out of memory."""
        if self._fitted:  # the budget grew back too early
            self._patience = min(2 * self._patience, MOST_RECOVERY_BATCHES)
        self.seconds = max(min(self.seconds, padded_seconds), min(SMALLEST_SECONDS, self._configured))
        self._fitted = 0

    def fitted(self, padded_seconds: float) -> None:
        """Record that a batch fit into memory.

        The cause of the earlier shortage (another process, a fragmented allocator) may be gone. Batches that are much
        smaller than the budget prove nothing and do not count.
        """
        if self.seconds >= self._configured or padded_seconds < self.seconds / 2:
            return
        self._fitted += 1
        if self._fitted % self._patience == 0:
            self.seconds = min(GROWTH * self.seconds, self._configured)
