"""Request and response models of API keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from api.http.datetimes import Moment
from common.keys import TENANT_NAME, ApiKey, KeyLimits, Scope

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Own = Annotated[int | None, Field(ge=0, le=2_000_000_000, strict=True)]


class LimitsOfKey(BaseModel):
    """A key's own limits: null takes the setting, 0 is no limit."""

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
    """Keys, newest first; revoked ones too."""

    data: list[KeyOut]


def limits_in(asked: LimitsOfKey) -> KeyLimits:
    """Convert limits to the internal type."""
    return KeyLimits(**asked.model_dump())


def key_out(key: ApiKey) -> KeyOut:
    """Convert a key to its API representation."""
    return KeyOut.model_validate(_fields(key))


def with_secret(key: ApiKey, secret: str) -> KeyWithSecret:
    """Convert a new key, including its secret, for the one response that shows it."""
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
