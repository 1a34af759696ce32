"""Sessions of browsers, whose EventSource and <audio> can send no header: a sealed cookie that names a key."""

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

COOKIE = "paraqueue_session"
# Readable by scripts of the page, which send it back in the header: another site's page can do neither.
CSRF_COOKIE = "paraqueue_csrf"
# Browsers take a cookie of such a name over HTTPS only, and from this very host: no neighbour can plant one.
HOST_PREFIX = "__Host-"
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
HOUR_SECONDS = 3600
PURPOSE = "session"


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie holds: of which key, until when (Unix time), and the token that must come beside it.

    `digest` is the hash of the secret that the session began with: it ends when that secret does.
    """

    id: uuid.UUID
    digest: bytes
    expires_at: int
    csrf: str


class Sessions:
    """Makes and reads cookies. One per process."""

    def __init__(self, settings: Settings) -> None:
        self._box = SecretBox(settings.secret_keys) if settings.secret_keys else None
        self._seconds = int(settings.session_hours * HOUR_SECONDS)
        self._public_url = settings.public_url

    def begin(self, digest: bytes) -> Session:
        """A new session of the key with that digest. Raises SessionsNotConfigured."""
        if self._box is None:
            raise SessionsNotConfigured("sessions are not configured: set PARAQUEUE_SECRET_KEY")
        return Session(uuid.uuid4(), digest, int(time.time()) + self._seconds, secrets.token_urlsafe(24))

    def put(self, request: Request, response: Response, session: Session) -> None:
        """Give the browser the cookies of a session."""
        assert self._box is not None
        told = {
            "for": PURPOSE,
            "id": session.id.hex,
            "key": session.digest.hex(),
            "until": session.expires_at,
            "csrf": session.csrf,
        }
        sealed = self._box.close(json.dumps(told)).decode()
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
        """Take the cookies of a session away."""
        for name in (COOKIE, CSRF_COOKIE):
            response.delete_cookie(
                self._named(request, name), path="/", secure=self._secure(request), samesite="strict"
            )

    def sealed(self, request: Request) -> str | None:
        """The cookie of a request, as it came."""
        return request.cookies.get(self._named(request, COOKIE))

    def of(self, request: Request) -> Session | None:
        """The session of a request, None without a cookie. Whether it was ended is not known here.

        Raises Unauthenticated for a cookie that is not ours or is over; Forbidden where an unsafe method comes
        without the token.
        """
        sealed = self.sealed(request)
        if not sealed or self._box is None:
            return None
        try:
            told = json.loads(self._box.open(sealed.encode()))
        except (ConfigurationError, ValueError):
            raise Unauthenticated("the session is not valid; sign in again") from None
        if told.get("for") != PURPOSE or "id" not in told or told["until"] <= time.time():
            raise Unauthenticated("the session has expired; sign in again")
        session = Session(uuid.UUID(hex=told["id"]), bytes.fromhex(told["key"]), told["until"], told["csrf"])
        given = request.headers.get(CSRF_HEADER, "")
        if request.method not in SAFE_METHODS and not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise Forbidden(f"calls with a session need the header {CSRF_HEADER}")
        return session

    def _secure(self, request: Request) -> bool:
        return (self._public_url or str(request.base_url)).startswith("https:")

    def _named(self, request: Request, name: str) -> str:
        return HOST_PREFIX + name if self._secure(request) else name
