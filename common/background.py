"""A background thread that works when woken."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import suppress

from common.telemetry import get_logger

log = get_logger(__name__)
STOP_SECONDS = 10.0


class Background(ABC):
    """A background thread that works when woken; wake-ups in quick succession are merged into one piece of work."""

    def __init__(self, name: str, *, pause_seconds: float = 0.0, every_seconds: float | None = None) -> None:
        """Pause `pause_seconds` after each piece of work, so that a stream of wake-ups cannot keep the thread busy.

        With `every_seconds`, the thread also works when nothing has woken it for so long.
        """
        self._name = name
        self._pause_seconds = pause_seconds
        self._every_seconds = every_seconds
        self._ending = threading.Event()
        self._woken = threading.Event()
        self._work_within: float | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def work(self) -> None:
        """Do one piece of work after a wake-up; an exception is logged and the thread continues."""

    @property
    def stopping(self) -> bool:
        """Whether long-running work should finish early."""
        return self._stopping

    def start(self) -> None:
        """Start the thread; it does its first piece of work immediately."""
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        """Request a piece of work soon; never blocks, never fails."""
        self._woken.set()

    def wake_later(self, seconds: float) -> None:
        """Called by `work` to run again after this many seconds, even if nothing wakes the thread."""
        self._ending.wait(seconds)
        self._woken.set()

    def work_within(self, seconds: float) -> None:
        """Called by `work` to run again when something wakes the thread, or after this many seconds."""
        self._work_within = seconds

    def stop(self) -> None:
        """Stop the thread after any work in progress."""
        self._stopping = True
        self._ending.set()
        self._woken.set()
        with suppress(RuntimeError):  # never started
            self._thread.join(timeout=STOP_SECONDS)

    def _run(self) -> None:
        while True:
            self._woken.wait(self._every_seconds if self._work_within is None else self._work_within)
            self._woken.clear()
            self._work_within = None
            if self._stopping:
                return
            try:
                self.work()
            except Exception:
                log.exception("background_work_failed", thread=self._name)
            self._ending.wait(self._pause_seconds)
