"""Limits of calls per minute, counted in Redis for all API processes together.

Each process also keeps its own count, and a call must be within both. Callers can delay Redis by keeping it or the
event loop busy, so that the shared count misses calls; the limit then still holds per process.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.http.metrics import RATE_LIMITS_LOCAL
from common.errors import RateLimited
from common.settings import BrokerSettings
from common.telemetry import get_logger

T = TypeVar("T")
log = get_logger(__name__)
# Redis usually responds within two milliseconds; an outage must not slow every call down.
PATIENCE_SECONDS = 0.05
PAUSE_SECONDS = 5.0
WINDOW_SECONDS = 60
# A Redis call costs more than the rest of a poll. Calls of a key in quick succession are therefore counted together,
# as long as they are less than a tenth of the remaining calls: ten API processes cannot exceed the limit that way.
TOGETHER_SECONDS = 0.1
TOGETHER_SHARE = 10
REMEMBERED_KEYS = 10_000


@dataclass(slots=True)
class CallCount:
    """The last count of a key or tenant from Redis, and the calls not reported to it yet. Times in seconds."""

    asked_at: float
    remaining: int = 0
    reset_at: float = 0.0
    unreported: int = 0
    refused_until: float = 0.0


class Verdict(NamedTuple):
    """Whether a call is allowed and how many remain. Compares smaller if stricter."""

    allowed: bool
    remaining: int
    reset_at: float


class RateLimits:
    """One per process, for the event loop that first uses it."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._storage = RedisStorage(
            f"async+{settings.redis_url.get_secret_value()}",
            implementation="redispy",
            key_prefix="paraqueue:calls",
            wrap_exceptions=True,
            # No socket_timeout: redis-py sends a command that timed out again, which would count a call twice.
        )
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._own_counts = MemoryStorage()
        self._own = SlidingWindowCounterRateLimiter(self._own_counts)
        # The limit is part of the key: when it changes, the counts in Redis and in memory restart.
        self._tallies: OrderedDict[tuple[str, int], CallCount] = OrderedDict()
        self._away_until = 0.0
        self._away = False

    def forget(self) -> None:
        """Reset this process's own counts."""
        self._tallies.clear()
        self._own_counts.storage.clear()

    async def count(self, limits: Sequence[tuple[str, int]]) -> dict[str, str]:
        """Count a call for each name, which may have so many a minute; return the headers with the remaining calls.

        Raises RateLimited, with the same `headers`.
        """
        tightest: tuple[int, CallCount] | None = None
        for name, limit in limits:
            tally = await self._counted(name, limit)
            if tightest is None or _remaining(tally) < _remaining(tightest[1]):
                tightest = limit, tally
        return _headers(*tightest) if tightest is not None else {}

    async def _counted(self, name: str, limit: int) -> CallCount:
        tally = self._tallies.get((name, limit))
        now = time.monotonic()
        if tally is not None and now < tally.refused_until:
            # Refusing must cost less than calling: neither this process nor Redis is asked again.
            raise TooManyCalls(limit, seconds_until(tally.reset_at), _headers(limit, tally))
        if tally is not None and now - tally.asked_at < TOGETHER_SECONDS:
            if tally.unreported < tally.remaining // TOGETHER_SHARE:
                tally.unreported += 1
                return tally
        elif tally is None or now - tally.asked_at > WINDOW_SECONDS:
            tally = self._remember((name, limit), CallCount(now))
        tally.asked_at = now  # calls that arrive while Redis is queried need not query it
        if not await self._count(limit, name, tally):
            tally.refused_until = now + TOGETHER_SECONDS
            raise TooManyCalls(limit, seconds_until(tally.reset_at), _headers(limit, tally))
        return tally

    async def _count(self, limit: int, name: str, tally: CallCount) -> bool:
        """Count this call and the unreported ones; return whether they are within the limit."""
        item = RateLimitItemPerMinute(limit)
        unreported, tally.unreported = tally.unreported, 0

        async def counted(limiter: SlidingWindowCounterRateLimiter) -> Verdict:
            allowed = await limiter.hit(item, name, cost=unreported + 1)
            reset_at, remaining = await limiter.get_window_stats(item, name)
            return Verdict(allowed, remaining, reset_at)

        # Both counts must allow the call: Redis misses calls during its delays, this process misses those of others.
        # A call refused by one does not count in the other; otherwise clients that keep calling would use up their
        # limit with refused calls.
        may = await self._own.test(item, name, cost=unreported + 1)
        verdict = await self.ask(counted) if may else None
        if verdict is None or verdict.allowed:
            own = await counted(self._own)
            verdict = own if verdict is None else min(own, verdict)
        tally.remaining, tally.reset_at = verdict.remaining, verdict.reset_at
        if not verdict.allowed:  # nothing was counted
            tally.unreported += unreported
        return verdict.allowed

    async def ask(self, question: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T | None:
        """Query Redis; return None if it is unavailable or late, or was within the last seconds. Takes milliseconds."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                result = await question(self._limiter)
        except Exception as error:  # any error: failing to count is no reason to refuse work
            self._stumbled(error)
            return None
        if self._away:
            self._away = False
            RATE_LIMITS_LOCAL.set(0)
            log.info("rate_limits_shared")
        return result

    async def longest_wait(self, question: Callable[[SlidingWindowCounterRateLimiter], Awaitable[int]]) -> int:
        """Return the longer of the waits in seconds according to this process and Redis."""
        own = await question(self._own)
        return max(own, await self.ask(question) or 0)

    async def first_wait(self, hit: Callable[[SlidingWindowCounterRateLimiter], Awaitable[int]]) -> int:
        """Count with this process, then with Redis, and return the wait in seconds of the first that refuses, or 0.

        What this process refuses is not counted in Redis: it would use up what concurrent calls were granted here.
        """
        return await hit(self._own) or await self.ask(hit) or 0

    def _remember(self, name: tuple[str, int], tally: CallCount) -> CallCount:
        self._tallies[name] = tally
        self._tallies.move_to_end(name)
        while len(self._tallies) > REMEMBERED_KEYS:
            self._tallies.popitem(last=False)
        return tally

    def _stumbled(self, error: Exception) -> None:
        """Count in this process only for some seconds; log it once per outage."""
        self._away_until = time.monotonic() + PAUSE_SECONDS
        if not self._away:
            self._away = True
            RATE_LIMITS_LOCAL.set(1)
            log.warning("rate_limits_local", cause=type(error.__cause__ or error).__name__)


def _headers(limit: int, tally: CallCount) -> dict[str, str]:
    return {
        "RateLimit-Policy": f'"calls";q={limit};w={WINDOW_SECONDS}',
        "RateLimit": f'"calls";r={_remaining(tally)};t={seconds_until(tally.reset_at)}',
    }


def _remaining(tally: CallCount) -> int:
    return max(0, tally.remaining - tally.unreported)


def seconds_until(reset_at: float) -> int:
    """Return the seconds until a Unix time, at least 1, for `Retry-After`."""
    return max(1, math.ceil(reset_at - time.time()))


class TooManyCalls(RateLimited):
    """The rate limit is exceeded; carries the headers of the response."""

    def __init__(self, limit: int, after_seconds: int, headers: dict[str, str]) -> None:
        super().__init__(f"more than {limit} calls within a minute", after_seconds)
        self.headers = headers
