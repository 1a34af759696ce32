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
CSRF_HEADER = "X-CSRF-Token"
SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
HOUR_SECONDS = 3600
PURPOSE = "session"


@dataclass(frozen=True, slots=True)
class Session:
    """What a cookie holds: which key, until when, and the token that must come beside it."""

    key_id: uuid.UUID
    expires_at: int
    csrf: str


class Sessions:
    """Makes and reads cookies. One per process."""

    def __init__(self, settings: Settings) -> None:
        self._seal = SecretBox(settings.secret_keys) if settings.secret_keys else None
        self._seconds = int(settings.session_hours * HOUR_SECONDS)

    def begin(self, key_id: uuid.UUID) -> Session:
        """A new session of a key. Raises SessionsNotConfigured."""
        if self._seal is None:
            raise SessionsNotConfigured("sessions are not configured: set PARAQUEUE_SECRET_KEY")
        return Session(key_id, int(time.time()) + self._seconds, secrets.token_urlsafe(24))

    def put(self, response: Response, session: Session, *, secure: bool) -> None:
        """Give the browser the cookies of a session."""
        assert self._seal is not None
        told = {"for": PURPOSE, "key": session.key_id.hex, "until": session.expires_at, "csrf": session.csrf}
        sealed = self._seal.close(json.dumps(told)).decode()
        for name, value, hidden in ((COOKIE, sealed, True), (CSRF_COOKIE, session.csrf, False)):
            response.set_cookie(
                name, value, max_age=self._seconds, path="/", secure=secure, httponly=hidden, samesite="strict"
            )

    def of(self, request: Request) -> Session | None:
        """The session of a request, None without a cookie.

        Raises Unauthenticated for a cookie that is not ours or is over; Forbidden where an unsafe method comes
        without the token.
        """
        sealed = request.cookies.get(COOKIE)
        if not sealed or self._seal is None:
            return None
        try:
            told = json.loads(self._seal.open(sealed.encode()))
        except (ConfigurationError, ValueError):
            raise Unauthenticated("the session is not valid; sign in again") from None
        if told.get("for") != PURPOSE or told["until"] <= time.time():
            raise Unauthenticated("the session has expired; sign in again")
        session = Session(uuid.UUID(hex=told["key"]), told["until"], told["csrf"])
        given = request.headers.get(CSRF_HEADER, "")
        if request.method not in SAFE_METHODS and not hmac.compare_digest(given.encode(), session.csrf.encode()):
            raise Forbidden(f"calls with a session need the header {CSRF_HEADER}")
        return session


def end(response: Response) -> None:
    """Take the cookies of a session away."""
    for name in (COOKIE, CSRF_COOKIE):
        response.delete_cookie(name, path="/", samesite="strict")
