"""JSON Web Tokens as credentials: a valid signature, issuer, audience and lifetime identify a caller."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import jwt
from jwt import PyJWKClient
from jwt.exceptions import PyJWKClientConnectionError, PyJWKClientError, PyJWTError

from common.errors import Unauthenticated, Unavailable
from common.keys import Scope
from common.settings import AuthSettings
from common.tenants import TENANT_NAME

# The settings choose the algorithms, never the token: a public key must not be accepted as an HMAC secret.
WITH_SECRET = ("HS256",)
WITH_KEY_SET = ("RS256", "ES256")
NEEDED = ["exp", "iss", "aud", "sub"]
LEEWAY_SECONDS = 30
KEY_SET_SECONDS = 300
# A token may name any key: without a pause, strangers could make us query the issuer on every call.
REFRESH_SECONDS = 30.0
FETCH_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Bearer:
    """The claims of a token. `key_id` is the same for all tokens of one subject: usage and limits refer to it."""

    tenant: str
    key_id: uuid.UUID
    name: str
    scopes: frozenset[Scope]
    expires_at: float


class Tokens:
    """Validates tokens according to the settings. Thread-safe; one per process."""

    def __init__(self, settings: AuthSettings) -> None:
        secret = settings.jwt_secret
        self._secret = secret.get_secret_value() if secret is not None else None
        self._key_set = _key_set(settings.jwt_jwks_url) if settings.jwt_jwks_url else None
        self._settings = settings

    @property
    def configured(self) -> bool:
        """Whether this installation accepts tokens at all."""
        return self._secret is not None or self._key_set is not None

    def bearer(self, token: str) -> Bearer:
        """Return the bearer of a token. May fetch keys. Raises Unauthenticated; Unavailable if the issuer is down."""
        try:
            key, algorithms = self._key_for(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(algorithms),
                issuer=self._settings.jwt_issuer,
                audience=self._settings.jwt_audience,
                leeway=LEEWAY_SECONDS,
                options={"require": NEEDED},
            )
        except PyJWKClientConnectionError as error:
            raise Unavailable("the signing keys of the token's issuer cannot be fetched") from error
        except PyJWTError as error:
            raise Unauthenticated(f"the token is not valid: {_reason(error)}") from None
        except (OverflowError, RecursionError):  # a time that is not a number of seconds, or claims nested too deeply
            raise Unauthenticated("the token is not valid: it cannot be read") from None
        return self._bearer_of(claims)

    def _key_for(self, token: str) -> tuple[Any, tuple[str, ...]]:
        header = jwt.get_unverified_header(token)
        if self._secret is not None and header.get("alg") in WITH_SECRET:
            return self._secret, WITH_SECRET
        if self._key_set is not None and header.get("alg") in WITH_KEY_SET:
            return self._key_set.get_signing_key(str(header.get("kid"))), WITH_KEY_SET
        raise jwt.InvalidAlgorithmError("algorithm")

    def _bearer_of(self, claims: dict[str, Any]) -> Bearer:
        tenant = claims.get(self._settings.jwt_tenant_claim, self._settings.jwt_tenant)
        if not isinstance(tenant, str) or TENANT_NAME.fullmatch(tenant) is None:
            raise Unauthenticated(f"the token's claim `{self._settings.jwt_tenant_claim}` names no tenant")
        claimed = claims.get(self._settings.jwt_scopes_claim, [])
        named = claimed.split() if isinstance(claimed, str) else claimed if isinstance(claimed, list) else []
        scopes = frozenset(scope for scope in Scope if self._settings.jwt_scope_prefix + scope in named)
        subject = f"{claims['iss']}\n{claims['sub']}"
        return Bearer(
            tenant, uuid.uuid5(uuid.NAMESPACE_URL, subject), str(claims["sub"])[:100], scopes, float(claims["exp"])
        )


def _key_set(url: str) -> PyJWKClient:
    """Return the issuer's public keys. The library follows no redirects and limits its queries for unknown keys."""
    return PyJWKClient(url, lifespan=KEY_SET_SECONDS, timeout=FETCH_SECONDS, cooldown_duration=REFRESH_SECONDS)


def _reason(error: PyJWTError) -> str:
    """Return our own wording: the library's messages may quote the token."""
    reasons: list[tuple[type[PyJWTError], str]] = [
        (jwt.ExpiredSignatureError, "it has expired"),
        (jwt.ImmatureSignatureError, "its time has not come yet"),
        (jwt.InvalidIssuerError, "it is of another issuer"),
        (jwt.InvalidAudienceError, "it is for somebody else"),
        (jwt.MissingRequiredClaimError, "a claim is missing; exp, iss, aud and sub are needed"),
        (jwt.InvalidAlgorithmError, "its algorithm is not taken here"),
        (PyJWKClientError, "its key is unknown"),
        (jwt.InvalidSignatureError, "its signature is wrong"),
    ]
    return next((words for kind, words in reasons if isinstance(error, kind)), "it cannot be read")
