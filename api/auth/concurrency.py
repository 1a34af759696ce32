"""How many expensive calls of one tenant run at the same time in one process."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from common.errors import RateLimited

AGAIN_SECONDS = 1


class Concurrency:
    """Counts what runs, by tenant. Thread-safe; one per process and kind of call."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def of(self, tenant: str) -> Iterator[None]:
        """Run one more. Raises RateLimited at once where as many run already as may: others need the threads."""
        with self._lock:
            if self._running[tenant] >= self._limit:
                raise RateLimited(f"{self._limit} such calls of the tenant are running already", AGAIN_SECONDS)
            self._running[tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[tenant] -= 1
                if not self._running[tenant]:
                    del self._running[tenant]
