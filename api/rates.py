"""Calls a minute, counted in Redis for all API processes together. Where Redis is away, nobody is refused."""

from __future__ import annotations

import asyncio
import math
import time

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from api.identity import Caller
from common import ids
from common.errors import RateLimited
from common.settings import Settings
from common.telemetry import get_logger

log = get_logger(__name__)
# A Redis that answers does so within a millisecond or two; one that does not must not slow every call down.
PATIENCE_SECONDS = 0.05
PAUSE_SECONDS = 5.0
WINDOW_SECONDS = 60


class Rates:
    """One per process, for the event loop that first uses it."""

    def __init__(self, settings: Settings) -> None:
        self._storage = RedisStorage(
            f"async+{settings.redis_url.get_secret_value()}",
            implementation="redispy",
            key_prefix="paraqueue:calls",
            wrap_exceptions=True,
            socket_timeout=PATIENCE_SECONDS,
            socket_connect_timeout=PATIENCE_SECONDS,
        )
        self._limiter = SlidingWindowCounterRateLimiter(self._storage)
        self._away_until = 0.0
        self._away = False

    async def count(self, caller: Caller) -> dict[str, str]:
        """Count a call; the headers that say how many are left. Raises RateLimited, with the same as `headers`."""
        limit = caller.limits.requests_per_minute
        if not limit or caller.key_id is None or time.monotonic() < self._away_until:
            return {}
        item = RateLimitItemPerMinute(limit)
        name = ids.shown(ids.KEY, caller.key_id)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                allowed = await self._limiter.hit(item, name)
                reset_at, remaining = await self._limiter.get_window_stats(item, name)
        except Exception as error:  # whatever it is: a limit is no reason to refuse work
            self._stumbled(error)
            return {}
        if self._away:
            self._away = False
            log.info("rate_limits_back")
        reset = max(1, math.ceil(reset_at - time.time()))
        headers = {
            "RateLimit-Policy": f'"calls";q={limit};w={WINDOW_SECONDS}',
            "RateLimit": f'"calls";r={max(0, remaining)};t={reset}',
        }
        if not allowed:
            raise TooManyCalls(limit, reset, headers)
        return headers

    def _stumbled(self, error: Exception) -> None:
        """Leave Redis alone for some seconds, and say so once per outage."""
        self._away_until = time.monotonic() + PAUSE_SECONDS
        if not self._away:
            self._away = True
            log.warning("rate_limits_off", cause=type(error.__cause__ or error).__name__)


class TooManyCalls(RateLimited):
    """The limit, with the headers that go out with it."""

    def __init__(self, limit: int, after_seconds: int, headers: dict[str, str]) -> None:
        super().__init__(f"more than {limit} calls within a minute", after_seconds)
        self.headers = headers
