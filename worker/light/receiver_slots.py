"""How many threads a receiver of webhooks, and a tenant, may have at a time.

Deliveries to one receiver share a lane. One whose last try succeeded is trusted, and may have a few threads; one that
nobody knows yet may have half of that, one whose last try failed a single one. All that are not trusted share half of
the threads, and a tenant gets only a few of those: however many receivers of a tenant hang, there is room for
everybody else's, also for those that are new.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence

from common.webhooks import Due

THREADS = 32
PER_LANE = 4
PER_UNKNOWN_LANE = PER_LANE // 2
PER_TENANT = THREADS // 2
UNTRUSTED_THREADS = THREADS // 2
UNTRUSTED_PER_TENANT = UNTRUSTED_THREADS // 4
REMEMBERED_LANES = 1000


class ReceiverSlots:
    """The threads that are taken, and how the last try of each lane went. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_lane: Counter[str] = Counter()
        self._of_tenant: Counter[str] = Counter()
        self._untrusted_of_tenant: Counter[str] = Counter()
        # Whether a lane was trusted when it got its threads: what was counted so is taken off so.
        self._taken_as: dict[int, bool] = {}
        self._trust: OrderedDict[str, bool] = OrderedDict()

    def full(self) -> set[str]:
        """The lanes that can have no further thread now."""
        with self._lock:
            return {lane for lane in self._of_lane if self._of_lane[lane] >= self._limit(lane)}

    def full_tenants(self) -> set[str]:
        """The tenants that can have no further thread now, but for lanes that are trusted."""
        with self._lock:
            busy = set(self._of_tenant)
            return {tenant for tenant in busy if not self._has_room(tenant, trusted=False)}

    def trusted(self) -> set[str]:
        """The lanes whose last try succeeded."""
        with self._lock:
            return {lane for lane, trusted in self._trust.items() if trusted}

    def take(self, due: Sequence[Due]) -> list[Due]:
        """The first of these, as far as there are threads for them; give each of them back."""
        taken = []
        with self._lock:
            for item in due:
                trusted = self._trust.get(item.lane, False)
                if self._of_lane[item.lane] < self._limit(item.lane) and self._has_room(item.tenant, trusted=trusted):
                    self._count(item, 1, trusted=trusted)
                    self._taken_as[id(item)] = trusted
                    taken.append(item)
        return taken

    def give_back(self, item: Due, *, succeeded: bool | None) -> None:
        """A thread is free again; None where nothing was tried."""
        with self._lock:
            self._count(item, -1, trusted=self._taken_as.pop(id(item)))
            if succeeded is not None:
                self._trust.pop(item.lane, None)
                self._trust[item.lane] = succeeded
                if len(self._trust) > REMEMBERED_LANES:
                    self._trust.popitem(last=False)

    def _limit(self, lane: str) -> int:
        known = self._trust.get(lane)
        return PER_UNKNOWN_LANE if known is None else PER_LANE if known else 1

    def _has_room(self, tenant: str, *, trusted: bool) -> bool:
        if self._of_tenant.total() >= THREADS or self._of_tenant[tenant] >= PER_TENANT:
            return False
        untrusted = self._untrusted_of_tenant
        return trusted or (untrusted.total() < UNTRUSTED_THREADS and untrusted[tenant] < UNTRUSTED_PER_TENANT)

    def _count(self, item: Due, change: int, *, trusted: bool) -> None:
        counters = [(self._of_lane, item.lane), (self._of_tenant, item.tenant)]
        if not trusted:
            counters.append((self._untrusted_of_tenant, item.tenant))
        for counter, name in counters:
            counter[name] += change
            if not counter[name]:
                del counter[name]
