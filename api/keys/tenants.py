"""Tenants: their limits, which the operator sets, whether they share transcripts by links, and keep voice prints."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

from api.auth.callers import Caller
from api.deps import AdminCaller, DatabaseDep, v1_router
from api.keys.schemas import Own
from common import tenants
from common.errors import Forbidden, NotFound
from common.tenants import TENANT_NAME, Tenant

router = v1_router("/v1/tenants", "keys")
Name = Annotated[str, Path(max_length=63, pattern=f"^{TENANT_NAME.pattern}$")]


class TenantLimits(BaseModel):
    """What all keys of a tenant may use together: null takes the setting, 0 is no limit."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: Own = None
    max_running: Own = Field(None, description="Further jobs wait in the queue.")
    max_queued: Own = None
    audio_minutes_per_day: Own = None
    audio_minutes_per_month: Own = None
    max_upload_bytes: Annotated[int | None, Field(ge=0, le=2**53, strict=True)] = Field(
        None, description="Maximum size of one audio file; cannot exceed the setting."
    )


class TenantChange(TenantLimits):
    """What changes of a tenant; what is left out stays."""

    sharing: bool | None = Field(
        None, strict=True, description="Whether its share links work and new ones can be made; null leaves it."
    )
    voices: bool | None = Field(
        None,
        strict=True,
        description="Whether voice prints of speakers are kept with transcripts and compared with `/v1/voices`; null "
        "leaves it. Switched off, prints of transcripts are deleted within minutes.",
    )


class TenantOut(BaseModel):
    """A tenant."""

    name: str
    object: Literal["tenant"] = "tenant"
    limits: TenantLimits
    sharing: bool = Field(description="Whether its transcripts may be shared by links.")
    voices: bool = Field(description="Whether voice prints are kept and compared, if the installation permits it.")


@router.get("/{tenant}")
def get_tenant(database: DatabaseDep, caller: AdminCaller, tenant: Name) -> TenantOut:
    """A tenant and its limits: any one for the operator, its own for another admin."""
    _check_seen(caller, tenant)
    return _shown(tenants.get(database, tenant))


@router.patch("/{tenant}")
def set_tenant_limits(database: DatabaseDep, caller: AdminCaller, tenant: Name, body: TenantChange) -> TenantOut:
    """Change those limits of a tenant that are given; they hold within seconds. For the operator.

    The tenant's own admins may change `sharing` and `voices`, which hold at once; `sharing` also for existing links.
    """
    _check_seen(caller, tenant)
    limits = body.model_dump(exclude_unset=True, exclude={"sharing", "voices"})
    if not caller.operator and (limits or (body.sharing is None and body.voices is None)):
        raise Forbidden("only the operator sets the limits of a tenant")
    return _shown(tenants.set_limits(database, tenant, limits, sharing=body.sharing, voices=body.voices))


def _check_seen(caller: Caller, tenant: str) -> None:
    if not caller.operator and tenant != caller.tenant:
        raise NotFound(f"there is no tenant {tenant!r}")


def _shown(tenant: Tenant) -> TenantOut:
    limits = TenantLimits(**{name: getattr(tenant.limits, name) for name in TenantLimits.model_fields})
    return TenantOut(name=tenant.name, limits=limits, sharing=tenant.sharing, voices=tenant.voices)
