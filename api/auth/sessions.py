"""Browser sessions: a sealed cookie that refers to a key, because EventSource and <audio> can send no headers."""

from __future__ import annotations

import hmac
import json
import secrets
import time
import uuid
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from common.errors import ConfigurationError, Forbidden, SessionsNotConfigured, Unauthenticated
from common.secret_box import SecretBox
from common.settings import Settings
from common.settings.types import revealed

COOKIE = "paraqueue_session"
# Readable by the page's scripts, which send it back in the header; pages of other sites can do neither.
CSRF_COOKIE = "paraqueue_csrf"
# Browsers accept such a cookie over HTTPS only, and from this exact host: sibling domains cannot plant one.
HOST_PREFIX = "__Host-"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
HOUR_SECONDS = 3600
PURPOSE = "session"


@dataclass(frozen=True, slots=True)
class Session:
    """The content of a cookie: the key, the expiry (Unix time), and the CSRF token that must accompany it.

    `digest` is the hash of the secret that began the session: the session ends when that secret does.
    """

    id: uuid.UUID
    digest: bytes
    expires_at: int
    csrf: str


class Sessions:
    """Creates and reads session cookies. One per process."""

    def __init__(self, settings: Settings) -> None:
        self._box = SecretBox(revealed(settings.secret_key)) if settings.secret_key else None
        self._seconds = int(settings.session_hours * HOUR_SECONDS)
        self._public_url = settings.public_url

    def begin(self, digest: bytes) -> Session:
        """Return a new session of the key with that digest. Raises SessionsNotConfigured."""
        if self._box is None:
            raise SessionsNotConfigured("sessions are not configured: set PARAQUEUE_SECRET_KEY")
        return Session(uuid.uuid4(), digest, int(time.time()) + self._seconds, secrets.token_urlsafe(24))

    def put(self, request: Request, response: Response, session: Session) -> None:
        """Set the cookies of a session."""
        assert self._box is not None
        payload = {
            "for": PURPOSE,
            "id": session.id.hex,
            "key": session.digest.hex(),
            "until": session.expires_at,
            "csrf": session.csrf,
        }
        sealed = self._box.close(json.dumps(payload)).decode()
        secure = self._secure(request)
        for name, value, hidden in ((COOKIE, sealed, True), (CSRF_COOKIE, session.csrf, False)):
            response.set_cookie(
                self._named(request, name),
                value,
                max_age=self._seconds,
                path="/",
                secure=secure,
                httponly=hidden,
                samesite="strict",
            )

    def remove(self, request: Request, response: Response) -> None:
        """Delete the cookies of a session."""
        for name in (COOKIE, CSRF_COOKIE):
            response.delete_cookie(
                self._named(request, name), path="/", secure=self._secure(request), samesite="strict"
            )

    def sealed(self, request: Request) -> str | None:
        """Return the session cookie of a request, still sealed."""
        return request.cookies.get(self._named(request, COOKIE))

    def of(self, request: Request) -> Session | None:
        """Return the session of a request, None without a cookie. Does not check whether the session was ended.

        Raises Unauthenticated for a cookie that is not ours or has expired; Forbidden for an unsafe method without the
        token.
        """
        sealed = self.sealed(request)
        if not sealed or self._box is None:
            return None
        try:
            payload = json.loads(self._box.open(sealed.encode()))
        except (ConfigurationError, ValueError):
            raise Unauthenticated("the session is not valid; sign in again") from None
        if payload.get("for") != PURPOSE or "id" not in payload or payload["until"] <= time.time():
            raise Unauthenticated("the session has expired; sign in again")
        session = Session(
            uuid.UUID(hex=payload["id"]), bytes.fromhex(payload["key"]), payload["until"], payload["csrf"]
        )
        given = request.headers.get(CSRF_HEADER, "")
        if request.method not in SAFE_METHODS and not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise Forbidden(f"calls with a session need the header {CSRF_HEADER}")
        return session

    def _secure(self, request: Request) -> bool:
        return (self._public_url or str(request.base_url)).startswith("https:")

    def _named(self, request: Request, name: str) -> str:
        return HOST_PREFIX + name if self._secure(request) else name
