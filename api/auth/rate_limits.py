"""Calls per minute, counted in Redis for all API processes together.

Each process also keeps its own count. While Redis does not respond in time, which callers can cause by keeping it or
our event loop busy, that count decides: limits then apply per process, and are never lifted.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.auth.callers import Caller
from api.http.metrics import RATE_LIMITS_LOCAL
from common import ids
from common.errors import RateLimited
from common.settings import BrokerSettings
from common.telemetry import get_logger

T = TypeVar("T")
log = get_logger(__name__)
# A healthy Redis responds within a millisecond or two; an unhealthy one must not slow every call down.
PATIENCE_SECONDS = 0.05
PAUSE_SECONDS = 5.0
WINDOW_SECONDS = 60
# Querying Redis costs more than the rest of a poll, so calls of a key in quick succession are counted together, as
# long as they are less than a tenth of what is left: ten API processes cannot exceed the limit that way.
TOGETHER_SECONDS = 0.1
TOGETHER_SHARE = 10
REMEMBERED_KEYS = 10_000


@dataclass(slots=True)
class CallCount:
    """The last count that Redis returned for a key, and the number of calls not yet sent to it. Times in seconds."""

    asked_at: float
    remaining: int = 0
    reset_at: float = 0.0
    untold: int = 0


class RateLimits:
    """Rate limits of callers. One per process, for the event loop that first uses it."""

    def __init__(self, settings: BrokerSettings) -> None:
        self._storage = RedisStorage(
            f"async+{settings.redis_url.get_secret_value()}",
            implementation="redispy",
            key_prefix="paraqueue:calls",
            wrap_exceptions=True,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
        )
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._tallies: OrderedDict[str, CallCount] = OrderedDict()
        self._away_until = 0.0
        self._away = False

    async def count(self, caller: Caller) -> dict[str, str]:
        """Count a call; return the headers with what is left. Raises RateLimited, with the same data as `headers`."""
        limit = caller.limits.requests_per_minute
        if not limit or caller.key_id is None:
            return {}
        name = ids.shown(ids.KEY, caller.key_id)
        tally = self._tallies.get(name)
        now = time.monotonic()
        if tally is not None and now - tally.asked_at < TOGETHER_SECONDS:
            if tally.untold < tally.remaining // TOGETHER_SHARE:
                tally.untold += 1
                return _headers(limit, tally)
        elif tally is None or now - tally.asked_at > WINDOW_SECONDS:
            tally = self._remember(name, CallCount(now))
        tally.asked_at = now  # calls that arrive during the query need no query of their own
        allowed = await self._count(limit, name, tally)
        headers = _headers(limit, tally)
        if not allowed:
            raise TooManyCalls(limit, seconds_until(tally.reset_at), headers)
        return headers

    async def _count(self, limit: int, name: str, tally: CallCount) -> bool:
        """Count this call and those not yet sent to Redis; return whether that is within the limit."""
        item = RateLimitItemPerMinute(limit)
        untold, tally.untold = tally.untold, 0

        async def counted(limiter: SlidingWindowCounterRateLimiter) -> tuple[bool, float, int]:
            allowed = await limiter.hit(item, name, cost=untold + 1)
            return (allowed, *await limiter.get_window_stats(item, name))

        allowed, tally.reset_at, tally.remaining = await self.ask(counted)
        if not allowed:  # nothing was counted
            tally.untold += untold
        return allowed

    async def ask(self, question: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T:
        """Return the result from Redis, or from this process alone if Redis is down, too slow, or has just failed.

        The local count is always updated as well, so that it is available when it is needed. This takes milliseconds.
        """
        own = await question(self._own)
        if time.monotonic() < self._away_until:
            return own
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                told = await question(self._limiter)
        except Exception as error:  # whatever it is: a rate limiter that fails is no reason to refuse work
            self._stumbled(error)
            return own
        if self._away:
            self._away = False
            RATE_LIMITS_LOCAL.set(0)
            log.info("rate_limits_shared")
        return told

    def _remember(self, name: str, tally: CallCount) -> CallCount:
        self._tallies[name] = tally
        self._tallies.move_to_end(name)
        while len(self._tallies) > REMEMBERED_KEYS:
            self._tallies.popitem(last=False)
        return tally

    def _stumbled(self, error: Exception) -> None:
        """Count locally for some seconds, and log that once per outage."""
        self._away_until = time.monotonic() + PAUSE_SECONDS
        if not self._away:
            self._away = True
            RATE_LIMITS_LOCAL.set(1)
            log.warning("rate_limits_local", cause=type(error.__cause__ or error).__name__)


def _headers(limit: int, tally: CallCount) -> dict[str, str]:
    remaining = max(0, tally.remaining - tally.untold)
    return {
        "RateLimit-Policy": f'"calls";q={limit};w={WINDOW_SECONDS}',
        "RateLimit": f'"calls";r={remaining};t={seconds_until(tally.reset_at)}',
    }


def seconds_until(reset_at: float) -> int:
    """Return the number of seconds, at least 1, until a client may retry."""
    return max(1, math.ceil(reset_at - time.time()))


class TooManyCalls(RateLimited):
    """The rate limit was exceeded; carries the response headers."""

    def __init__(self, limit: int, after_seconds: int, headers: dict[str, str]) -> None:
        super().__init__(f"more than {limit} calls within a minute", after_seconds)
        self.headers = headers
