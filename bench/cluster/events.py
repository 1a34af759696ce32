"""Runs many timed actions on a few threads, each as soon as it is due and a thread is free."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable

Action = Callable[[], None]


class Events:
    """Actions by the time at which they are due (`time.monotonic`). An action that raises ends everything."""

    def __init__(self, threads: int) -> None:
        self._due: list[tuple[float, int, Action]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._ended = False
        self.error: BaseException | None = None
        self._threads = [threading.Thread(target=self._run, name=f"events-{i}") for i in range(threads)]

    def at(self, moment: float, action: Action) -> None:
        """Run an action at that time, or as soon after it as a thread is free."""
        with self._changed:
            heapq.heappush(self._due, (moment, next(self._order), action))
            self._changed.notify()

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Forget what is not due yet and wait for what is running."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (action := self._next()) is not None:
            try:
                action()
            except BaseException as error:
                with self._changed:
                    self.error = self.error or error
                    self._ended = True
                    self._changed.notify_all()
                raise

    def _next(self) -> Action | None:
        with self._changed:
            while not self._ended:
                if not self._due:
                    self._changed.wait()
                elif (left := self._due[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    return heapq.heappop(self._due)[2]
            return None
