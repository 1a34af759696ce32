"""Visitors: people without a key, who read one transcript with the token of a share link."""

from __future__ import annotations

import time
from collections import OrderedDict
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from api.auth.identities import credential_of
from api.auth.lockout import Lockout, address_of
from api.auth.rate_limits import RateLimits
from common import shares
from common.db import Database
from common.errors import NotFound, Unauthenticated
from common.settings import Settings
from common.shares import Visit

PATHS = "/v1/shared"
METHODS = ("GET", "HEAD")
# <audio> sends no headers. The cookie's path is that of one link's recording, so that several links can be open.
COOKIE = "paraqueue_share"
# For every response: neither caches nor search engines keep what a link shows, and no other page learns its address.
HEADERS = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}
REMEMBERED_SECONDS = 300.0
REMEMBERED_TOKENS = 10_000


class Visitors:
    """Turns tokens into visits. One per process."""

    def __init__(self, settings: Settings, database: Database, failures: Lockout, rates: RateLimits) -> None:
        self._on = settings.share_links == "on"
        self._requests_per_minute = settings.share_requests_per_minute
        self._longest_seconds = settings.share_max_seconds
        self._database = database
        self._failures = failures
        self._rates = rates
        self._admitted: OrderedDict[bytes, float] = OrderedDict()

    async def visit(self, request: Request) -> tuple[Visit, dict[str, str]]:
        """Count a call of this address; return what its token permits, and headers with the remaining calls.

        Raises Unauthenticated without a token; NotFound alike for every token that permits nothing; RateLimited after
        too many calls or wrong tokens.
        """
        address = address_of(request)
        limit = self._requests_per_minute
        headers = await self._rates.count([(f"visitors/{address}", limit)] if limit else [])
        token = credential_of(request.headers) or request.cookies.get(COOKIE)
        if not token:
            raise Unauthenticated("the token of a share link is required: `Authorization: Bearer …`")
        digest = shares.digest_of(token)
        # Those who were already admitted are not locked out by others at the same address.
        if self._admitted.get(digest, 0.0) < time.monotonic():
            await self._failures.check(address, token)
        visit = None
        if self._on:
            visit = await run_in_threadpool(shares.visit, self._database, token, self._longest_seconds)
        if visit is None:
            self._admitted.pop(digest, None)
            await self._failures.count(address, token)
            raise unknown()
        self._remember(digest)
        return visit, headers

    def _remember(self, digest: bytes) -> None:
        self._admitted[digest] = time.monotonic() + REMEMBERED_SECONDS
        self._admitted.move_to_end(digest)
        while len(self._admitted) > REMEMBERED_TOKENS:
            self._admitted.popitem(last=False)


def visited(path: str) -> bool:
    """Return whether a path is for visitors."""
    return path == PATHS or path.startswith(PATHS + "/")


def unknown() -> NotFound:
    """Return the error for every link that does not work, whatever the reason."""
    return NotFound("this link does not work: it is wrong, has expired or was revoked, or the transcript was deleted")


def put_cookie(request: Request, response: Response, visit: Visit, base_url: str) -> None:
    """Let the visitor's browser play the recording of this link until it is closed."""
    url = urlsplit(base_url)
    response.set_cookie(
        COOKIE,
        credential_of(request.headers) or "",
        path=f"{url.path}{PATHS}/{visit.public_id}",
        secure=url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def room_of(visit: Visit) -> str:
    """Return in whose turn the calls of visitors wait: they share threads with one another, not with their tenant."""
    return f"visitors of {visit.tenant}"
