"""Tenants and their limits. A tenant's limits apply to all its keys together; a key can only tighten them."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common.db import Database
from common.errors import InvalidRequest, NotFound
from common.models import ApiKeyRow, TenantRow

TENANT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True, slots=True)
class OwnLimits:
    """The limits of one tenant or key.

    For a tenant, None means the default from the settings and 0 means unlimited. For a key, None and 0 mean that only
    the tenant's limit applies.
    """

    requests_per_minute: int | None = None
    max_running: int | None = None
    max_queued: int | None = None
    audio_minutes_per_day: int | None = None
    audio_minutes_per_month: int | None = None
    max_upload_bytes: int | None = None


LIMITS = tuple(field.name for field in fields(OwnLimits))
NO_OWN_LIMITS = OwnLimits()


@dataclass(frozen=True, slots=True)
class Tenant:
    """An owner of jobs, keys and webhook endpoints.

    `sharing`: whether its share links work; `voices`: whether voice prints are kept and compared.
    """

    name: str
    limits: OwnLimits
    sharing: bool = True
    voices: bool = False


def ensure(session: Session, name: str) -> None:
    """Create the tenant unless it exists. Raises InvalidRequest for an invalid name."""
    if TENANT_NAME.fullmatch(name) is None:
        raise InvalidRequest("a tenant's name consists of up to 63 lower-case letters, digits, `.`, `_` or `-`")
    session.execute(insert(TenantRow).values(name=name).on_conflict_do_nothing())


def get(database: Database, name: str) -> Tenant:
    """Return a tenant. Raises NotFound."""
    with database.transaction() as session:
        row = session.get(TenantRow, name)
        if row is None:
            raise NotFound(f"there is no tenant {name!r}")
        return _tenant_of(row)


def limits_of(database: Database, name: str) -> OwnLimits:
    """Return the limits of a tenant; an unknown tenant has no limits of its own."""
    with database.transaction() as session:
        row = session.get(TenantRow, name)
        return limits_in(row) if row is not None else NO_OWN_LIMITS


def set_limits(
    database: Database,
    name: str,
    limits: dict[str, int | None],
    *,
    sharing: bool | None = None,
    voices: bool | None = None,
) -> Tenant:
    """Change some limits of a tenant, which is created if it does not exist. They take effect within seconds.

    `sharing`: whether its transcripts may be shared by links; `voices`: whether voice prints are kept. Both hold at
    once; None leaves them.
    """
    switches = {"sharing": sharing, "voices": voices}
    with database.transaction() as session:
        ensure(session, name)
        values: dict[str, Any] = dict(limits) | {key: on for key, on in switches.items() if on is not None}
        statement = update(TenantRow).where(TenantRow.name == name).values(**values or {"name": name})
        return _tenant_of(session.scalars(statement.returning(TenantRow)).one())


def largest_upload(database: Database, name: str, key_id: Any) -> int | None:
    """Return the smaller of the tenant's and the key's own limit of an audio file in bytes; None if neither has one."""
    with database.transaction() as session:
        own = [
            session.scalar(select(TenantRow.max_upload_bytes).where(TenantRow.name == name)),
            session.scalar(select(ApiKeyRow.max_upload_bytes).where(ApiKeyRow.id == key_id)),
        ]
    return min((limit for limit in own if limit), default=None)


def _tenant_of(row: TenantRow) -> Tenant:
    return Tenant(row.name, limits_in(row), row.sharing, row.voices)


def limits_in(row: TenantRow | ApiKeyRow) -> OwnLimits:
    """Return the limits in a row."""
    return OwnLimits(**{name: getattr(row, name) for name in LIMITS})
