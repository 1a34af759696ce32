"""Notices that a device's thread is gone, or that a call on the device does not end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watchdog:
    """Watches one thread, whose calls stand in `with watchdog.call():`.

    A kernel that hangs cannot be ended from within the process, so `on_fault` has to end the process. Time is counted
    in ticks of the watchdog's own thread: a process that was stopped for an hour has not hung for an hour.
    """

    def __init__(
        self,
        thread: threading.Thread,
        on_fault: Callable[[str], None],
        *,
        limit_seconds: float,
        tick_seconds: float = 1.0,
    ) -> None:
        self._watched = thread
        self._on_fault = on_fault
        self._limit_seconds = limit_seconds
        self._tick_seconds = tick_seconds
        self._call: object | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"{thread.name}-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to watch; the thread must be running."""
        self._thread.start()

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    @contextmanager
    def call(self) -> Iterator[None]:
        """A call on the device, in the watched thread."""
        self._call = object()
        try:
            yield
        finally:
            self._call = None

    def _watch(self) -> None:
        seen: object | None = None
        elapsed = 0.0
        while not self._ended.wait(self._tick_seconds):
            if not self._watched.is_alive():
                self._on_fault("its thread has ended")
                return
            call = self._call
            elapsed = elapsed + self._tick_seconds if call is not None and call is seen else 0.0
            seen = call
            if elapsed >= self._limit_seconds:
                self._on_fault(f"a call has not ended after {self._limit_seconds:.0f} s")
                return
