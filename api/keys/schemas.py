"""Requests and responses about API keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from api.http.datetimes import Moment
from common.keys import ApiKey, Scope
from common.tenants import TENANT_NAME, OwnLimits

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Own = Annotated[int | None, Field(ge=0, le=2_000_000_000, strict=True)]


class LimitsOfKey(BaseModel):
    """A key's own limits, inside of its tenant's; null and 0: no narrower ones."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Own = None
    max_running: Own = Field(None, description="More jobs than these wait in the queue.")
    max_queued: Own = None
    audio_minutes_per_day: Own = None
    audio_minutes_per_month: Own = None
    max_upload_bytes: Annotated[int | None, Field(ge=0, le=2**53, strict=True)] = None


class KeyCreate(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    tenant: str | None = Field(
        None,
        max_length=63,
        pattern=f"^{TENANT_NAME.pattern}$",
        description="Unset: your own. Only the operator can name another one.",
    )
    scopes: list[Scope] = Field(default_factory=lambda: [Scope.SUBMIT, Scope.READ], min_length=1, max_length=3)
    expires_at: Moment | None = None
    limits: LimitsOfKey = Field(default_factory=LimitsOfKey)

    @field_validator("expires_at")
    @classmethod
    def _later(cls, value: datetime | None) -> datetime | None:
        if value is not None and value <= datetime.now(UTC):
            raise ValueError("is in the past")
        return value


class KeyRotate(BaseModel):
    """How to change a key's secret."""

    model_config = ConfigDict(extra="forbid")

    grace_hours: float = Field(
        24, strict=True, allow_inf_nan=False, ge=0, le=720, description="The old secret works for so long."
    )


class KeyOut(BaseModel):
    """A key, without its secret."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    tenant: str
    scopes: list[Scope]
    hint: str = Field(description="How the key begins.")
    limits: LimitsOfKey
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")
    expires_at: datetime | None
    revoked_at: datetime | None
    previous_until: datetime | None = Field(description="So long the secret before the last rotation works.")


class KeyWithSecret(KeyOut):
    """A key with its secret, which is shown this once."""

    key: str


class KeyList(BaseModel):
    """Some keys, newest first; revoked ones too, for a month."""

    data: list[KeyOut]
    next: str | None = Field(description="Give it as `after` for the next page; null at the end.")


def limits_in(asked: LimitsOfKey) -> OwnLimits:
    """The limits as the rules take them."""
    return OwnLimits(**asked.model_dump())


def key_out(key: ApiKey) -> KeyOut:
    """A key as clients see it."""
    return KeyOut.model_validate(_fields(key))


def with_secret(key: ApiKey, secret: str) -> KeyWithSecret:
    """A key as its maker sees it, once."""
    return KeyWithSecret.model_validate({**_fields(key), "key": secret})


def _fields(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.public_id,
        "name": key.name,
        "tenant": key.tenant,
        "scopes": sorted(key.scopes),
        "hint": key.hint,
        "limits": {name: getattr(key.limits, name) for name in LimitsOfKey.model_fields},
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "previous_until": key.previous_until,
    }
