"""How much time tenants spend in their places: a leaky bucket for each, so that short bursts cost nothing."""

from __future__ import annotations

from collections import OrderedDict

BURST_SECONDS = 1.0


class PlaceTime:
    """The time that the calls of each tenant held places, less `rate` seconds per second.

    A tenant is in debt while that is more than a second. Times are those of `time.monotonic`.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        # What each tenant had used at a moment; those charged last come last.
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def charge(self, tenant: str, seconds: float, now: float) -> None:
        """Note that a call of the tenant held a place for so long."""
        self._used[tenant] = (self._level(tenant, now) + seconds, now)
        self._used.move_to_end(tenant)
        while (first := next(iter(self._used))) != tenant and not self._level(first, now):
            del self._used[first]

    def debt(self, tenant: str, now: float) -> float:
        """Return the seconds until the tenant is out of debt; 0 if it is not in debt."""
        return max(0.0, self._level(tenant, now) - BURST_SECONDS) / self._rate

    def _level(self, tenant: str, now: float) -> float:
        used, at = self._used.get(tenant, (0.0, now))
        return max(0.0, used - (now - at) * self._rate)
