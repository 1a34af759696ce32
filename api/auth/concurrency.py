"""How many expensive calls of one tenant run at the same time in one process, and how many threads they take."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from weakref import WeakValueDictionary

from common.errors import RateLimited

AGAIN_SECONDS = 1


class Concurrency:
    """Counts concurrent calls per tenant. Thread-safe; one per process and kind of call."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()
        self._lock = Lock()

    @contextmanager
    def of(self, tenant: str) -> Iterator[None]:
        """Run one more. Raises RateLimited at once where as many run already as may: others need the threads."""
        with self._lock:
            if self._running[tenant] >= self._limit:
                raise RateLimited(f"{self._limit} calls of this kind are already running for the tenant", AGAIN_SECONDS)
            self._running[tenant] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[tenant] -= 1
                if not self._running[tenant]:
                    del self._running[tenant]


class TenantThreads:
    """Bounds the threads of one tenant; its further calls wait in the event loop, and those of others do not."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._of_tenant: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, tenant: str) -> asyncio.Semaphore:
        """Return what a coroutine has to hold while a thread works for the tenant. Call it in the event loop."""
        semaphore = self._of_tenant.get(tenant)
        if semaphore is None:
            semaphore = self._of_tenant[tenant] = asyncio.Semaphore(self._limit)
        return semaphore
