"""Wrong keys, tokens and sessions, counted per address in Redis: who sends too many of them has to wait.

Nobody guesses a key of 256 bits. What this saves is a look-up in the database for each guess, and the log.
"""

from __future__ import annotations

import hashlib
import ipaddress

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.requests import HTTPConnection

from api.auth.rate_limits import RateLimits, seconds_until
from common.errors import RateLimited
from common.keys import HINT_CHARACTERS
from common.settings import API_KEY_PREFIX, AuthSettings
from common.telemetry import get_logger

log = get_logger(__name__)
# A program that goes on with a key that is over must not shut out all others behind the same address.
OF_ONE_CREDENTIAL = 3
# Whoever has one address of IPv6 has all of its network.
IPV6_NETWORK = 64
NAMESPACE = "wrong"


class Lockout:
    """Counts what the gate refused. One per process. Where Redis is away each process counts alone."""

    def __init__(self, settings: AuthSettings, rates: RateLimits) -> None:
        each = settings.auth_failures_per_minute
        self._all = RateLimitItemPerMinute(max(each, 1), namespace=NAMESPACE)
        self._same = RateLimitItemPerMinute(max(each // OF_ONE_CREDENTIAL, 1), namespace=NAMESPACE)
        self._rates = rates
        self._on = each > 0

    async def check(self, address: str, credential: str) -> None:
        """Raise RateLimited where this address, or this credential from it, was wrong too often."""
        limits = self._limits(address, credential)

        async def wait_seconds(limiter: SlidingWindowCounterRateLimiter) -> int:
            full = [limit for limit in limits if not await limiter.test(*limit)]
            return max([0, *[await _wait_seconds(limiter, *limit) for limit in full]])

        seconds = await self._rates.longest_wait(wait_seconds) if self._on else 0
        if seconds:
            raise _refusal(seconds)

    async def count(self, address: str, credential: str) -> None:
        """Count a wrong one. Raises RateLimited where others came at the same time, and took what was left."""
        limits = self._limits(address, credential)

        async def wait_seconds(limiter: SlidingWindowCounterRateLimiter) -> int:
            # The address first, without writing: whoever invents credentials must not fill Redis with their names.
            if not await limiter.test(*limits[-1]):
                return await _wait_seconds(limiter, *limits[-1])
            for limit in limits:
                if not await limiter.hit(*limit):
                    return await _wait_seconds(limiter, *limit)
            return 0

        seconds = await self._rates.longest_wait(wait_seconds) if self._on else 0
        log.info("credential_refused", address=address, limited=bool(seconds))
        if seconds:
            raise _refusal(seconds)

    def _limits(self, address: str, credential: str) -> list[tuple[RateLimitItem, str, str]]:
        """The one of the credential first: what that refuses does not count against the address."""
        return [(self._same, address, _label(credential)), (self._all, address, "")]


def address_of(connection: HTTPConnection) -> str:
    """Whom failures are counted for: the client that the server (or a proxy that it trusts) saw."""
    host = connection.client.host if connection.client is not None else ""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, IPV6_NETWORK), strict=False))


def _label(credential: str) -> str:
    """What stands for a credential in Redis: how a key begins, which is no secret, or a token's hash."""
    if credential.startswith(API_KEY_PREFIX):
        credential = credential[:HINT_CHARACTERS]
    return hashlib.sha256(credential.encode()).hexdigest()[:32]


async def _wait_seconds(limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, *name: str) -> int:
    reset_at, _ = await limiter.get_window_stats(item, *name)
    return seconds_until(reset_at)


def _refusal(seconds: int) -> RateLimited:
    return RateLimited("too many wrong keys came from this address", seconds)
