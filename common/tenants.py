"""Tenants and their limits. A tenant's limits count for all of its keys together; a key can only narrow them."""

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

    Of a tenant: None takes the setting, 0 is no limit. Of a key: None and 0 take the tenant's.
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
    """Whose jobs are whose."""

    name: str
    limits: OwnLimits


def ensure(session: Session, name: str) -> None:
    """Make the tenant, if it is new. Raises InvalidRequest for a name that no tenant can have."""
    if TENANT_NAME.fullmatch(name) is None:
        raise InvalidRequest("a tenant's name consists of up to 63 lower-case letters, digits, `.`, `_` or `-`")
    session.execute(insert(TenantRow).values(name=name).on_conflict_do_nothing())


def get(database: Database, name: str) -> Tenant:
    """One tenant. Raises NotFound."""
    with database.transaction() as session:
        row = session.get(TenantRow, name)
        if row is None:
            raise NotFound(f"there is no tenant {name!r}")
        return Tenant(row.name, limits_in(row))


def limits_of(database: Database, name: str) -> OwnLimits:
    """The limits of a tenant; none of its own where it is not known yet."""
    with database.transaction() as session:
        row = session.get(TenantRow, name)
        return limits_in(row) if row is not None else NO_OWN_LIMITS


def set_limits(database: Database, name: str, limits: dict[str, int | None]) -> Tenant:
    """Change the named limits of a tenant, which is made if it is new. Holds within seconds."""
    with database.transaction() as session:
        ensure(session, name)
        values: dict[str, Any] = dict(limits)
        statement = update(TenantRow).where(TenantRow.name == name).values(**values or {"name": name})
        row = session.scalars(statement.returning(TenantRow)).one()
        return Tenant(row.name, limits_in(row))


def largest_upload(database: Database, name: str, key_id: Any) -> int | None:
    """The limit of an audio file in bytes that the tenant or the key has of its own; None where neither has one."""
    with database.transaction() as session:
        own = [
            session.scalar(select(TenantRow.max_upload_bytes).where(TenantRow.name == name)),
            session.scalar(select(ApiKeyRow.max_upload_bytes).where(ApiKeyRow.id == key_id)),
        ]
    return min((limit for limit in own if limit), default=None)


def limits_in(row: TenantRow | ApiKeyRow) -> OwnLimits:
    """The limits that a row holds."""
    return OwnLimits(**{name: getattr(row, name) for name in LIMITS})
