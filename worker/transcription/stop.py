"""Signals a running job to stop, from any thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import Enum


class StopReason(Enum):
    """Why an attempt ends before its audio does."""

    CANCELED = "canceled"
    LOST = "lost"
    SHUTDOWN = "shutdown"


class Stopped(Exception):
    """Raised in the job's thread where it stops."""

    def __init__(self, reason: StopReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class StopSignal:
    """A stop request for one job, set by the first thread that learns of the reason.

    A shutdown is soft: the job commits what it has. Cancellation and loss are hard: they also call the `on_abandon`
    action, which unblocks a thread that waits for the engine.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reason: StopReason | None = None
        self._abandon: Callable[[], None] | None = None

    @property
    def reason(self) -> StopReason | None:
        """The reason to stop, or None."""
        return self._reason

    def request(self, reason: StopReason) -> None:
        """Request a stop. A hard reason replaces a soft one."""
        with self._lock:
            if self._reason in {None, StopReason.SHUTDOWN}:
                self._reason = reason
            abandon = self._abandon if reason is not StopReason.SHUTDOWN else None
        if abandon is not None:
            abandon()

    def on_abandon(self, action: Callable[[], None]) -> None:
        """Register an action for a hard stop; it is called immediately if there was one already."""
        with self._lock:
            self._abandon = action
            late = self._reason in {StopReason.CANCELED, StopReason.LOST}
        if late:
            action()

    def check(self) -> None:
        """Raise Stopped if the job should stop for any reason."""
        if self._reason is not None:
            raise Stopped(self._reason)

    def check_abandoned(self) -> None:
        """Raise Stopped on a hard reason only."""
        if self._reason in {StopReason.CANCELED, StopReason.LOST}:
            raise Stopped(self._reason)
