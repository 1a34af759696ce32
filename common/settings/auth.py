"""Settings of authentication and of the default limits of a key."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from common.settings.types import (
    API_KEY,
    API_KEY_PREFIX,
    GIBIBYTE,
    TOKEN_SECRET_BYTES,
    Limit,
    Seconds,
    SettingsGroup,
    is_loopback,
)


class AuthSettings(SettingsGroup):
    """Authentication"""

    auth: Literal["on", "off"] = Field(
        "on",
        description="`off`: every caller has all scopes of the tenant `default`; allowed only while the API listens "
        "on a loopback address.",
    )
    auth_failures_per_minute: Limit = Field(
        60,
        description="Failed authentication attempts per minute and client address (IPv6: /64 network), a third of "
        "that per credential prefix; further ones receive 429. 0: unlimited.",
    )
    admin_key: SecretStr | None = Field(
        None,
        description="An API key with all scopes for the tenant `default`, valid while set: `pq_live_` and at least 43 "
        "random letters, digits, `-` or `_`.",
    )
    jwt_secret: SecretStr | None = Field(
        None, description="Accept JSON Web Tokens signed with this secret (HS256), at least 32 bytes."
    )
    jwt_jwks_url: str | None = Field(
        None,
        description="Accept tokens (RS256, ES256) signed by a key of this JWKS: `https://`, or http on a loopback "
        "address.",
    )
    jwt_issuer: str | None = Field(None, description="Required `iss` claim; must be set to accept tokens.")
    jwt_audience: str | None = Field(
        None, description="Value that the `aud` claim must equal or contain; must be set to accept tokens."
    )
    jwt_tenant_claim: str = Field("tenant", description="Claim with the tenant.")
    jwt_tenant: str | None = Field(None, description="Tenant of tokens without that claim. Unset: they are refused.")
    jwt_scopes_claim: str = Field("scope", description="Claim with the scopes: a list or a space-separated string.")
    jwt_scope_prefix: str = Field("", description="Prefix of scopes in that claim, e.g. `paraqueue:`.")
    session_hours: Seconds = Field(12, description="Lifetime of a browser session.")

    @field_validator("admin_key")
    @classmethod
    def _api_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None  # Compose passes unset variables as empty strings
        if API_KEY.fullmatch(value.get_secret_value()) is None:
            raise ValueError(f"must be {API_KEY_PREFIX} followed by at least 43 letters, digits, - or _")
        return value

    @model_validator(mode="after")
    def _whole_tokens(self) -> Self:
        if (self.jwt_secret or self.jwt_jwks_url) and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("tokens need PARAQUEUE_JWT_ISSUER and PARAQUEUE_JWT_AUDIENCE")
        if self.jwt_secret is not None and len(self.jwt_secret.get_secret_value().encode()) < TOKEN_SECRET_BYTES:
            raise ValueError(f"PARAQUEUE_JWT_SECRET must have at least {TOKEN_SECRET_BYTES} bytes")
        url = urlsplit(self.jwt_jwks_url or "https://unset")
        if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.hostname or "")):
            raise ValueError("PARAQUEUE_JWT_JWKS_URL must start with https://, or use a loopback address")
        return self


# A link that lasts less than a minute is over before anybody opens it.
SHORTEST_SHARE_DAYS = 0.001
ShareDays = Annotated[float, Field(ge=SHORTEST_SHARE_DAYS)]
DAY_SECONDS = 24 * 3600.0


class ShareSettings(SettingsGroup):
    """Share links"""

    share_links: Literal["on", "off"] = Field(
        "on",
        description="`off`: nobody can create links with which people without a key read a transcript, and existing "
        "links do not work.",
    )
    share_default_days: ShareDays = Field(30, description="Lifetime of a link for which none is requested.")
    share_max_days: ShareDays = Field(365, description="Longest lifetime of a link, also of those that exist.")
    share_requests_per_minute: Limit = Field(
        600, description="Requests with links per minute and client address; further ones receive 429. 0: unlimited."
    )

    @property
    def share_max_seconds(self) -> float:
        """The longest lifetime of a link in seconds."""
        return self.share_max_days * DAY_SECONDS


class TenantLimitSettings(SettingsGroup):
    """Default limits of a tenant, for all of its keys together (0: unlimited)"""

    tenant_requests_per_minute: Limit = Field(6000, description="Requests per minute; further ones receive 429.")
    tenant_max_running: Limit = Field(0, description="Jobs running at once; others wait in the queue.")
    tenant_max_queued: Limit = Field(10_000, description="Queued jobs; further ones receive 429.")
    tenant_audio_minutes_per_day: Limit = Field(0, description="Minutes of audio per day (UTC).")
    tenant_audio_minutes_per_month: Limit = Field(0, description="Minutes of audio per month (UTC).")
    tenant_open_uploads: Limit = Field(
        100,
        description="Resumable and presigned uploads that are unfinished or unused; further ones receive 429.",
    )
    tenant_open_upload_bytes: Limit = Field(
        100 * GIBIBYTE,
        description="Total announced size of those uploads. An upload of unknown size counts as the largest file "
        "allowed.",
    )
