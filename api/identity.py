"""Who calls. Known before the first byte of a body is read, and before any route is looked at."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from api import errors
from common import keys
from common.db import Database
from common.errors import ParaqueueError, Unauthenticated
from common.keys import ALL_SCOPES, ApiKey, KeyLimits, Scope
from common.models import DEFAULT_TENANT
from common.settings import API_KEY_PREFIX, Settings

# A poll must not cost a query for its key; so long a revoked key may still work.
REMEMBERED_SECONDS = 5.0
REMEMBERED_KEYS = 10_000
LONGEST_CREDENTIAL = 8192
GUARDED = "/v1"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a caller may use; 0 is no limit."""

    requests_per_minute: int
    max_running: int
    max_queued: int
    audio_minutes_per_day: int
    audio_minutes_per_month: int
    max_upload_bytes: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: everything it sees and makes belongs to `tenant`. `key_id` is None where authentication is off."""

    tenant: str
    key_id: uuid.UUID | None
    name: str
    scopes: frozenset[Scope]
    limits: Limits

    @property
    def operator(self) -> bool:
        """Whether it administers the installation, and not only its own tenant."""
        return self.tenant == DEFAULT_TENANT and Scope.ADMIN in self.scopes


def limits_of(own: KeyLimits, settings: Settings) -> Limits:
    """A key's own limits, and the settings' ones where it has none."""

    def chosen(mine: int | None, default: int) -> int:
        return default if mine is None else mine

    largest = settings.max_upload_bytes
    return Limits(
        requests_per_minute=chosen(own.requests_per_minute, settings.key_requests_per_minute),
        max_running=chosen(own.max_running, settings.key_max_running),
        max_queued=chosen(own.max_queued, settings.key_max_queued),
        audio_minutes_per_day=chosen(own.audio_minutes_per_day, settings.key_audio_minutes_per_day),
        audio_minutes_per_month=chosen(own.audio_minutes_per_month, settings.key_audio_minutes_per_month),
        max_upload_bytes=min(own.max_upload_bytes or largest, largest),
    )


class Identities:
    """Turns credentials into callers, and remembers them for some seconds. One per process."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._admin_key_known = False
        self._remembered: OrderedDict[bytes, tuple[float, Caller]] = OrderedDict()

    async def caller(self, headers: Headers) -> Caller:
        """Who calls. Raises Unauthenticated; Unavailable where the database does not answer."""
        if self._settings.auth == "off":
            return Caller(DEFAULT_TENANT, None, "", ALL_SCOPES, limits_of(KeyLimits(), self._settings))
        credential = credential_of(headers)
        if credential is None:
            raise Unauthenticated("give an API key: `Authorization: Bearer …` or `X-API-Key: …`")
        if not credential.startswith(API_KEY_PREFIX):
            raise Unauthenticated("this is not an API key of this service")
        digest = keys.digest_of(credential)
        until, caller = self._remembered.get(digest, (0.0, None))
        if caller is None or until < time.monotonic():
            caller = self._caller_of(await run_in_threadpool(self._look_up, digest))
            self._remember(digest, caller)
        return caller

    def _look_up(self, digest: bytes) -> ApiKey:
        if not self._admin_key_known:  # here and not at start: the API starts also while the database is away
            given = self._settings.admin_key
            keys.ensure_admin_key(self._database, given.get_secret_value() if given is not None else None)
            self._admin_key_known = True
        return keys.authenticated(self._database, digest)

    def _caller_of(self, key: ApiKey) -> Caller:
        return Caller(key.tenant, key.id, key.name, key.scopes, limits_of(key.limits, self._settings))

    def _remember(self, digest: bytes, caller: Caller) -> None:
        self._remembered[digest] = (time.monotonic() + REMEMBERED_SECONDS, caller)
        self._remembered.move_to_end(digest)
        while len(self._remembered) > REMEMBERED_KEYS:
            self._remembered.popitem(last=False)


def credential_of(headers: Headers) -> str | None:
    """The key or token of a request, if it has one."""
    scheme, _, told = headers.get("authorization", "").partition(" ")
    credential = told.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "").strip()
    if not credential:
        return None
    if len(credential) > LONGEST_CREDENTIAL:
        raise Unauthenticated("no key or token is so long")
    return credential


class Gate:
    """Lets only known callers through to /v1. Plain ASGI, because a route's body is read before its dependencies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and guarded(scope["path"]):
            request = Request(scope)
            try:
                request.state.caller = await request.app.state.service.identities.caller(request.headers)
            except ParaqueueError as error:
                await errors.answer(request, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def guarded(path: str) -> bool:
    """Whether a path is for callers with credentials."""
    return path == GUARDED or path.startswith(GUARDED + "/")
