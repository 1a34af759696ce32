"""Calls a minute, counted in Redis for all API processes together.

Each process also counts by itself, and a call must be within both counts. Callers can make Redis late by keeping it or
our event loop busy. It then misses calls; a limit still holds for each process, also when Redis is back.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.auth.callers import Caller
from api.http.metrics import RATE_LIMITS_LOCAL
from common.errors import RateLimited
from common.settings import BrokerSettings
from common.telemetry import get_logger

T = TypeVar("T")
log = get_logger(__name__)
# A Redis that answers does so within a millisecond or two; one that does not must not slow every call down.
PATIENCE_SECONDS = 0.05
PAUSE_SECONDS = 5.0
WINDOW_SECONDS = 60
# Asking Redis costs more than the rest of a poll. So calls of a key that follow one another closely are counted
# together, as long as they are less than a tenth of what is left: ten API processes cannot pass the limit that way.
TOGETHER_SECONDS = 0.1
TOGETHER_SHARE = 10
REMEMBERED_KEYS = 10_000


@dataclass(slots=True)
class CallCount:
    """What Redis last said of a key or tenant, and how many calls it has not been told of since. Times in seconds."""

    asked_at: float
    remaining: int = 0
    reset_at: float = 0.0
    untold: int = 0


class Verdict(NamedTuple):
    """Whether a call is within the limit, and what is left of that; the stricter one is the lesser."""

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
        # Under the limit too: when that changes, the counts in Redis and in memory begin anew.
        self._tallies: OrderedDict[tuple[str, int], CallCount] = OrderedDict()
        self._away_until = 0.0
        self._away = False

    def forget(self) -> None:
        """Drop what this process counted itself, as when it starts."""
        self._tallies.clear()
        self._own_counts.storage.clear()

    async def count(self, caller: Caller) -> dict[str, str]:
        """Count a call; the headers that say how many are left. Raises RateLimited, with the same as `headers`."""
        tightest: tuple[int, CallCount] | None = None
        for name, limit in caller.call_limits:
            tally = await self._counted(name, limit)
            if tightest is None or _remaining(tally) < _remaining(tightest[1]):
                tightest = limit, tally
        return _headers(*tightest) if tightest is not None else {}

    async def _counted(self, name: str, limit: int) -> CallCount:
        tally = self._tallies.get((name, limit))
        now = time.monotonic()
        if tally is not None and now - tally.asked_at < TOGETHER_SECONDS:
            if tally.untold < tally.remaining // TOGETHER_SHARE:
                tally.untold += 1
                return tally
        elif tally is None or now - tally.asked_at > WINDOW_SECONDS:
            tally = self._remember((name, limit), CallCount(now))
        tally.asked_at = now  # those that come while Redis is asked need not ask too
        if not await self._count(limit, name, tally):
            raise TooManyCalls(limit, seconds_until(tally.reset_at), _headers(limit, tally))
        return tally

    async def _count(self, limit: int, name: str, tally: CallCount) -> bool:
        """Count this call, and those that were not told of yet; whether that is within the limit."""
        item = RateLimitItemPerMinute(limit)
        untold, tally.untold = tally.untold, 0

        async def counted(limiter: SlidingWindowCounterRateLimiter) -> Verdict:
            allowed = await limiter.hit(item, name, cost=untold + 1)
            reset_at, remaining = await limiter.get_window_stats(item, name)
            return Verdict(allowed, remaining, reset_at)

        # Both must allow the call: Redis misses those that came while it was late, and this process those of others.
        # A call that one of them refuses does not count with the other, or clients that go on calling would use up
        # with refused calls what they may call.
        may = await self._own.test(item, name, cost=untold + 1)
        verdict = await self.ask(counted) if may else None
        if verdict is None or verdict.allowed:
            own = await counted(self._own)
            verdict = own if verdict is None else min(own, verdict)
        tally.remaining, tally.reset_at = verdict.remaining, verdict.reset_at
        if not verdict.allowed:  # nothing was counted
            tally.untold += untold
        return verdict.allowed

    async def ask(self, question: Callable[[SlidingWindowCounterRateLimiter], Awaitable[T]]) -> T | None:
        """What Redis says; None where it is away, late, or was a moment ago. It takes milliseconds."""
        if time.monotonic() < self._away_until:
            return None
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                told = await question(self._limiter)
        except Exception as error:  # whatever it is: a limit is no reason to refuse work
            self._stumbled(error)
            return None
        if self._away:
            self._away = False
            RATE_LIMITS_LOCAL.set(0)
            log.info("rate_limits_shared")
        return told

    async def longest_wait(self, question: Callable[[SlidingWindowCounterRateLimiter], Awaitable[int]]) -> int:
        """The longer of the waits in seconds that this process and Redis say."""
        own = await question(self._own)
        return max(own, await self.ask(question) or 0)

    def _remember(self, name: tuple[str, int], tally: CallCount) -> CallCount:
        self._tallies[name] = tally
        self._tallies.move_to_end(name)
        while len(self._tallies) > REMEMBERED_KEYS:
            self._tallies.popitem(last=False)
        return tally

    def _stumbled(self, error: Exception) -> None:
        """Count alone for some seconds, and say so once per outage."""
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
    return max(0, tally.remaining - tally.untold)


def seconds_until(reset_at: float) -> int:
    """When to come back, for who is told so."""
    return max(1, math.ceil(reset_at - time.time()))


class TooManyCalls(RateLimited):
    """The limit, with the headers that go out with it."""

    def __init__(self, limit: int, after_seconds: int, headers: dict[str, str]) -> None:
        super().__init__(f"more than {limit} calls within a minute", after_seconds)
        self.headers = headers
