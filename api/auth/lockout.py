"""Failed keys, tokens and sessions, counted per address in Redis: after too many, the client has to wait.

A 256-bit key cannot be guessed. The lockout saves a database lookup per guess, and protects the log.
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
# A program that keeps using a key that is no longer valid must not lock out others at the same address.
OF_ONE_CREDENTIAL = 3
# A client with one IPv6 address usually has the whole network.
IPV6_NETWORK = 64
NAMESPACE = "wrong"


class Lockout:
    """Counts the credentials that the gate rejected. One per process. If Redis is down, each process counts alone."""

    def __init__(self, settings: AuthSettings, rates: RateLimits) -> None:
        each = settings.auth_failures_per_minute
        self._all = RateLimitItemPerMinute(max(each, 1), namespace=NAMESPACE)
        self._same = RateLimitItemPerMinute(max(each // OF_ONE_CREDENTIAL, 1), namespace=NAMESPACE)
        self._rates = rates
        self._on = each > 0

    async def check(self, address: str, credential: str) -> None:
        """Raise RateLimited if this address, or this credential from it, has failed too often."""
        limits = self._limits(address, credential)

        async def wait_seconds(limiter: SlidingWindowCounterRateLimiter) -> int:
            full = [limit for limit in limits if not await limiter.test(*limit)]
            return max([0, *[await _wait_seconds(limiter, *limit) for limit in full]])

        seconds = await self._rates.longest_wait(wait_seconds) if self._on else 0
        if seconds:
            raise _refusal(seconds)

    async def count(self, address: str, credential: str) -> None:
        """Count a failure. Raises RateLimited if concurrent failures have used up the limit."""
        limits = self._limits(address, credential)

        async def wait_seconds(limiter: SlidingWindowCounterRateLimiter) -> int:
            # Test the address first, without writing: clients that invent credentials must not fill Redis with entries.
            if not await limiter.test(*limits[-1]):
                return await _wait_seconds(limiter, *limits[-1])
            for limit in limits:
                if not await limiter.hit(*limit):
                    return await _wait_seconds(limiter, *limit)
            return 0

        seconds = await self._rates.first_wait(wait_seconds) if self._on else 0
        log.info("credential_refused", address=address, limited=bool(seconds))
        if seconds:
            raise _refusal(seconds)

    def _limits(self, address: str, credential: str) -> list[tuple[RateLimitItem, str, str]]:
        """Return the credential's limit first: what it rejects does not count against the address."""
        return [(self._same, address, _label(credential)), (self._all, address, "")]


def address_of(connection: HTTPConnection) -> str:
    """Return the address that failures count against: the client as seen by the server or a proxy that it trusts."""
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
    """Return a credential's name in Redis: a hash of the key's start, which is no secret, or of the whole token."""
    if credential.startswith(API_KEY_PREFIX):
        credential = credential[:HINT_CHARACTERS]
    return hashlib.sha256(credential.encode()).hexdigest()[:32]


async def _wait_seconds(limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, *name: str) -> int:
    reset_at, _ = await limiter.get_window_stats(item, *name)
    return seconds_until(reset_at)


def _refusal(seconds: int) -> RateLimited:
    return RateLimited("too many wrong keys came from this address", seconds)
