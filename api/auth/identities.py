"""Authenticate callers by API key, token or browser session."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request

from api.auth.callers import Caller, limits_of
from api.auth.lockout import Lockout, address_of
from api.auth.sessions import Session, Sessions
from api.auth.tokens import Tokens
from common import keys, sessions, tenants
from common.db import Database
from common.errors import Forbidden, Unauthenticated
from common.keys import ALL_SCOPES, HIGHEST_PRIORITY, ApiKey
from common.models import DEFAULT_TENANT
from common.settings import API_KEY_PREFIX, Settings
from common.tenants import OwnLimits

# Polling must not cost a database query per call; a revoked key may keep working for this long.
REMEMBERED_SECONDS = 5.0
REMEMBERED_KEYS = 10_000
LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
LONGEST_CREDENTIAL = 8192


class Authenticator:
    """Turns credentials into callers, and caches them for some seconds. One per process."""

    def __init__(self, settings: Settings, database: Database, failures: Lockout) -> None:
        self._settings = settings
        self._failures = failures
        self._database = database
        self._tokens = Tokens(settings)
        self.sessions = Sessions(settings)
        self._admin_key_known = False
        self._remembered: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def caller(self, request: Request) -> Caller:
        """Return the caller of a request.

        Raises Unauthenticated; RateLimited after too many failed attempts; Forbidden; Unavailable if the database does
        not respond.
        """
        if self._settings.auth == "off":
            self._check_local(request)
            limits = limits_of(OwnLimits(), self._settings)
            return Caller(DEFAULT_TENANT, None, "", ALL_SCOPES, limits, max_priority=HIGHEST_PRIORITY)
        credential = credential_of(request.headers)
        shown = credential or self.sessions.sealed(request)
        if shown is None:
            raise Unauthenticated("an API key is required: `Authorization: Bearer …` or `X-API-Key: …`")
        try:
            return await self._caller(request, credential, shown)
        except Unauthenticated:
            await self._failures.count(address_of(request), shown)
            raise

    async def _caller(self, request: Request, credential: str | None, shown: str) -> Caller:
        async def known(name: bytes, find: Callable[[bytes], Caller]) -> Caller:
            # Callers that were already admitted are not locked out by others at the same address.
            if name not in self._remembered:
                await self._failures.check(address_of(request), shown)
            return await self._known(name, find)

        if credential is None:
            session = self.sessions.of(request)
            if session is None:
                raise Unauthenticated("sessions are not configured; an API key is required")
            return await known(session.id.bytes, lambda _: self._by_session(session))
        if credential.startswith(API_KEY_PREFIX):
            return await known(keys.digest_of(credential), self._by_hash)
        if not self._tokens.configured:
            raise Unauthenticated("this is not a valid API key")
        return await known(keys.digest_of(credential), lambda _: self._by_token(credential))

    async def end_session(self, request: Request) -> None:
        """End a request's session for good, for copies of its cookie too. Other processes notice within seconds."""
        session = self.sessions.of(request)
        if session is not None:
            expires_at = datetime.fromtimestamp(session.expires_at, UTC)
            await run_in_threadpool(sessions.end, self._database, session.id, expires_at)
            self._remembered.pop(session.id.bytes, None)

    def _check_local(self, request: Request) -> None:
        """Check Host and Origin: without keys, any web page opened on this machine could call us through a browser."""
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
        origin = request.headers.get("origin")
        ours = {*LOCAL_HOSTS, urlsplit(self._settings.public_url or "").hostname}
        if host not in ours or (origin and urlsplit(origin).hostname not in ours):
            raise Forbidden("without authentication, only calls from this machine to a loopback name are accepted")

    async def _known(self, name: bytes, find: Callable[[bytes], Caller]) -> Caller:
        until, caller = self._remembered.get(name, (0.0, None))
        if caller is None or until < time.monotonic():
            try:
                caller = await run_in_threadpool(find, name)
            except Unauthenticated:
                self._remembered.pop(name, None)
                raise
            self._remember(name, caller)
        return caller

    def _by_hash(self, digest: bytes) -> Caller:
        self._ensure_admin_key()
        return self._caller_of(*keys.authenticated(self._database, digest))

    def _by_session(self, session: Session) -> Caller:
        """Authenticate by the session's original key, if still valid; such a caller cannot begin or extend sessions."""
        if sessions.has_ended(self._database, session.id):
            raise Unauthenticated("the session was ended; begin a new one")
        return replace(self._by_hash(session.digest), by_key=False)

    def _by_token(self, token: str) -> Caller:
        bearer = self._tokens.bearer(token)
        limits = limits_of(tenants.limits_of(self._database, bearer.tenant), self._settings)
        return Caller(bearer.tenant, bearer.key_id, bearer.name, bearer.scopes, limits)

    def _ensure_admin_key(self) -> None:
        """Create the admin key here and not at startup: the API also starts while the database is down."""
        if not self._admin_key_known:
            given = self._settings.admin_key
            keys.ensure_admin_key(self._database, given.get_secret_value() if given is not None else None)
            self._admin_key_known = True

    def _caller_of(self, key: ApiKey, own: OwnLimits) -> Caller:
        limits = limits_of(own, self._settings, key.limits)
        return Caller(
            key.tenant, key.id, key.name, key.scopes, limits, True, key.limits, key.expires_at, key.max_priority
        )

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._remembered[digest] = (time.monotonic() + REMEMBERED_SECONDS, caller)
        self._remembered.move_to_end(digest)
        while len(self._remembered) > REMEMBERED_KEYS:
            self._remembered.popitem(last=False)


def credential_of(headers: Headers) -> str | None:
    """Return the API key or token of a request, if it has one."""
    scheme, _, value = headers.get("authorization", "").partition(" ")
    credential = value.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    if not credential:
        return None
    if len(credential) > LONGEST_CREDENTIAL:
        raise Unauthenticated("the key or token is too long")
    return credential
