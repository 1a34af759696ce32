"""Turns of tenants: who may use one of a few places next, so that no tenant's calls keep another's waiting."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic  # a loop's own time is only as fine as a millisecond

from api.http.place_time import PlaceTime

# A tenant counts as present for so long after its last call.
PRESENT_SECONDS = 5.0


class Turns:
    """So many places, of which one tenant has at most `most`, and at most `share` while others are present.

    Beside others, a tenant that holds places for more than `rate` seconds per second waits until it is out of debt.
    A free place goes to the waiting tenant that has the fewest; on a tie, to the one that was served longest ago. The
    calls of one tenant are served in order of arrival. For one event loop.
    """

    def __init__(self, places: int, *, most: int, share: int, rate: float | None = None) -> None:
        self._free = places
        self._most = most
        self._share = share
        self._time = None if rate is None else PlaceTime(rate)
        self._held: Counter[str] = Counter()
        # Only tenants that wait; those served longest ago come first.
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        # When each tenant called last, the latest one at the end.
        self._called_at: OrderedDict[str, float] = OrderedDict()
        # Set while somebody waits: nobody tells us when a tenant is no longer present.
        self._look_again: asyncio.TimerHandle | None = None
        self._look_again_at = 0.0

    @asynccontextmanager
    async def of(self, tenant: str) -> AsyncIterator[None]:
        """Hold a place for the tenant; wait for one without a time limit."""
        await self._take(tenant)
        began = monotonic()
        try:
            yield
        finally:
            if self._time is not None:
                now = monotonic()
                self._time.charge(tenant, now - began, now)
            self._give_back(tenant)

    async def _take(self, tenant: str) -> None:
        now = monotonic()
        self._note(tenant, now)
        if self._free and tenant not in self._waiting and self._held[tenant] < self._limit(tenant, now):
            # Those that wait although a place is free have as many as they may.
            self._free -= 1
            self._held[tenant] += 1
            return
        served = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(served)
        self._look_again_later(now)
        try:
            await served
        except BaseException:
            if served.done() and not served.cancelled():  # given the place just before it gave up
                self._give_back(tenant)
            else:
                self._leave(tenant, served)
            raise

    def _note(self, tenant: str, now: float) -> None:
        self._called_at[tenant] = now
        self._called_at.move_to_end(tenant)
        self._forget_absent(now)

    def _forget_absent(self, now: float) -> None:
        while self._called_at and next(iter(self._called_at.values())) <= now - PRESENT_SECONDS:
            self._called_at.popitem(last=False)

    def _look_again_later(self, now: float) -> None:
        """While calls wait, serve them again when a tenant is out of debt, or may be alone by then.

        `now` is when it was decided that they wait: a debt that ended since would otherwise be forgotten.
        """
        if not self._waiting:
            return
        debts = [debt for tenant in self._waiting if (debt := self._debt(tenant, now))]
        seconds = min([PRESENT_SECONDS, *debts])
        if self._look_again is not None:
            if self._look_again_at <= now + seconds:
                return
            self._look_again.cancel()
        self._look_again_at = now + seconds
        self._look_again = asyncio.get_running_loop().call_later(seconds, self._serve_again)

    def _serve_again(self) -> None:
        self._look_again = None
        self._serve()

    def _limit(self, tenant: str, now: float) -> int:
        """How many places a tenant may have now."""
        if self._alone(tenant):
            return self._most
        return 0 if self._debt(tenant, now) else self._share

    def _alone(self, tenant: str) -> bool:
        """Whether no other tenant called lately or holds a place. By counting: there may be thousands of tenants."""
        return all(len(known) == (tenant in known) for known in (self._called_at, self._held))

    def _debt(self, tenant: str, now: float) -> float:
        return 0.0 if self._time is None else self._time.debt(tenant, now)

    def _leave(self, tenant: str, served: asyncio.Future[None]) -> None:
        line = self._waiting.get(tenant)
        if line is not None and served in line:
            line.remove(served)
            if not line:
                del self._waiting[tenant]

    def _give_back(self, tenant: str) -> None:
        self._free += 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        self._serve()

    def _serve(self) -> None:
        now = monotonic()
        self._forget_absent(now)
        while self._free:
            below = [tenant for tenant in self._waiting if self._held[tenant] < self._limit(tenant, now)]
            if not below:
                break
            tenant = min(below, key=lambda name: self._held[name])  # the first of those that have the fewest
            line = self._waiting[tenant]
            served = line.popleft()
            if not line:
                del self._waiting[tenant]
            if served.cancelled():  # its task has not noticed yet
                continue
            if line:
                self._waiting.move_to_end(tenant)
            self._free -= 1
            self._held[tenant] += 1
            served.set_result(None)
        self._look_again_later(now)
