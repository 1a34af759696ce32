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
    max_running: Own = Field(None, description="Further jobs wait in the queue.")
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
        description="Default: the caller's tenant. Only the operator can name another one.",
    )
    scopes: list[Scope] = Field(default_factory=lambda: [Scope.SUBMIT, Scope.READ], min_length=1, max_length=3)
    expires_at: Moment | None = None
    limits: LimitsOfKey = Field(default_factory=LimitsOfKey)
    max_priority: Annotated[int | None, Field(ge=0, le=9, strict=True)] = Field(
        None,
        description="Highest priority that it can request for jobs. Default: 5, or that of the creating key if it is "
        "lower; only the operator can exceed that of its own key.",
    )

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
        24, strict=True, allow_inf_nan=False, ge=0, le=720, description="Hours that the old secret stays valid."
    )


class KeyOut(BaseModel):
    """A key, without its secret."""

    id: str
    object: Literal["api_key"] = "api_key"
    name: str
    tenant: str
    scopes: list[Scope]
    hint: str = Field(description="First characters of the key.")
    limits: LimitsOfKey
    max_priority: int = Field(description="Highest priority that it can request for jobs.")
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")
    expires_at: datetime | None
    revoked_at: datetime | None
    previous_until: datetime | None = Field(
        description="Until then, the secret from before the last rotation is also valid."
    )


class KeyWithSecret(KeyOut):
    """A key with its secret, which is shown this once."""

    key: str


class KeyList(BaseModel):
    """Some keys, newest first; revoked ones too, for a month."""

    data: list[KeyOut]
    next: str | None = Field(description="Value of `after` for the next page; null on the last page.")


def limits_in(limits: LimitsOfKey) -> OwnLimits:
    """The limits as the rules take them."""
    return OwnLimits(**limits.model_dump())


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
        "max_priority": key.max_priority,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "previous_until": key.previous_until,
    }
