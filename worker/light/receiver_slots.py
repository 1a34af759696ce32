"""Limits on the threads that one webhook receiver, and one tenant, may use at a time.

Deliveries to one receiver share a lane. A lane whose last attempt succeeded is trusted and may use a few threads; any
other lane, a new one included, may use one, so that a tenant's hanging receivers leave room for its new ones. All
untrusted lanes share half of the threads, and a tenant gets half of those: however many receivers of one tenant hang,
threads remain for the receivers of other tenants, including new ones.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Sequence

from common.webhooks import Due

THREADS = 32
PER_LANE = 4
PER_UNTRUSTED_LANE = 1
PER_TENANT = THREADS // 2
UNTRUSTED_THREADS = THREADS // 2
UNTRUSTED_PER_TENANT = UNTRUSTED_THREADS // 2
REMEMBERED_LANES = 1000


class ReceiverSlots:
    """The threads in use, and the outcome of each lane's last attempt. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_lane: Counter[str] = Counter()
        self._of_tenant: Counter[str] = Counter()
        self._untrusted_of_tenant: Counter[str] = Counter()
        # Whether a lane was trusted when it got its threads, so that they are released from the same count.
        self._taken_as: dict[int, bool] = {}
        self._trust: OrderedDict[str, bool] = OrderedDict()

    def full(self) -> set[str]:
        """The lanes that cannot get another thread now."""
        with self._lock:
            return {lane for lane in self._of_lane if self._of_lane[lane] >= self._limit(lane)}

    def full_tenants(self) -> set[str]:
        """The tenants that cannot get another thread now, except for trusted lanes."""
        with self._lock:
            busy = set(self._of_tenant)
            return {tenant for tenant in busy if not self._has_room(tenant, trusted=False)}

    def trusted(self) -> set[str]:
        """The lanes whose last attempt succeeded."""
        with self._lock:
            return {lane for lane, trusted in self._trust.items() if trusted}

    def take(self, due: Sequence[Due]) -> list[Due]:
        """Take threads for the first of these deliveries, as far as the limits allow; each must be given back."""
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
        """Release a thread; `succeeded` is None if no attempt was made."""
        with self._lock:
            self._count(item, -1, trusted=self._taken_as.pop(id(item)))
            if succeeded is not None:
                self._trust.pop(item.lane, None)
                self._trust[item.lane] = succeeded
                if len(self._trust) > REMEMBERED_LANES:
                    self._trust.popitem(last=False)

    def _limit(self, lane: str) -> int:
        return PER_LANE if self._trust.get(lane) else PER_UNTRUSTED_LANE

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
