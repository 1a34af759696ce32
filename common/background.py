"""A thread that works when it is woken."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from contextlib import suppress

from common.telemetry import get_logger

log = get_logger(__name__)
STOP_SECONDS = 10.0


class Background(ABC):
    """A background thread that does its work when woken; many wakes in a row become one piece of work."""

    def __init__(self, name: str, *, pause_seconds: float = 0.0) -> None:
        """After each piece of work it rests for `pause_seconds`, so that a stream of wakes cannot keep it busy."""
        self._name = name
        self._pause_seconds = pause_seconds
        self._ending = threading.Event()
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @abstractmethod
    def work(self) -> None:
        """What is done after a wake. An exception is logged, and the thread goes on."""

    @property
    def stopping(self) -> bool:
        """Whether work that takes long should come to its end."""
        return self._stopping

    def start(self) -> None:
        """Begin; the first piece of work is done at once."""
        self._woken.set()
        self._thread.start()

    def wake(self) -> None:
        """Ask for the work to be done soon. Never blocks, never fails."""
        self._woken.set()

    def wake_later(self, seconds: float) -> None:
        """For `work` itself: ask to be called again after a rest of this length, also if nobody wakes the thread."""
        self._ending.wait(seconds)
        self._woken.set()

    def stop(self) -> None:
        """End the thread after the work it may be in."""
        self._stopping = True
        self._ending.set()
        self._woken.set()
        with suppress(RuntimeError):  # never started
            self._thread.join(timeout=STOP_SECONDS)

    def _run(self) -> None:
        while True:
            self._woken.wait()
            self._woken.clear()
            if self._stopping:
                return
            try:
                self.work()
            except Exception:
                log.exception("background_work_failed", thread=self._name)
            self._ending.wait(self._pause_seconds)
