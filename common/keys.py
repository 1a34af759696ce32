"""API keys: who may call, for which tenant, and within which limits.

A key is shown once; only its hash is stored.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.errors import InvalidRequest, NotFound, Unauthenticated, WrongState
from common.leases import ago, from_now
from common.models import DEFAULT_TENANT, ApiKeyRow, TenantRow
from common.settings import API_KEY_PREFIX

SECRET_BYTES = 32
# Enough to recognize a key among others, without helping to guess the rest of its 256 bits.
HINT_CHARACTERS = len(API_KEY_PREFIX) + 4
# Recording every call would cost a statement and a dead row each, more than knowing the exact second is worth.
LAST_USED_SECONDS = 60
MAX_KEYS_OF_TENANT = 1000
TENANT_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# The key from the settings; its row always has this id, so that a changed setting replaces it.
ADMIN_KEY_ID = uuid.uuid5(uuid.NAMESPACE_URL, "urn:paraqueue:admin-key")


class Scope(StrEnum):
    """What a caller may do; no scope includes another."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """The limits of a key itself: None uses the value from the settings, 0 means unlimited."""

    requests_per_minute: int | None = None
    max_running: int | None = None
    max_queued: int | None = None
    audio_minutes_per_day: int | None = None
    audio_minutes_per_month: int | None = None
    max_upload_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret; `hint` is how the secret begins.

    The previous secret is valid until `previous_until`.
    """

    id: uuid.UUID
    created_at: datetime
    tenant: str
    name: str
    hint: str
    scopes: frozenset[Scope]
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    previous_until: datetime | None
    limits: KeyLimits

    @property
    def public_id(self) -> str:
        """The public id of the key."""
        return ids.shown(ids.KEY, self.id)


@dataclass(frozen=True, slots=True)
class NewKey:
    """The attributes of a key to be created."""

    name: str
    tenant: str = DEFAULT_TENANT
    scopes: frozenset[Scope] = frozenset({Scope.SUBMIT, Scope.READ})
    expires_at: datetime | None = None
    limits: KeyLimits = KeyLimits()


def new_secret() -> str:
    """Return a new secret: 256 random bits, with a prefix that secret scanners recognize."""
    return API_KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """Return the hash that is stored of a key.

    SHA-256 rather than a slow password hash: those make guessing expensive where people choose passwords. Nobody can
    guess 256 random bits, however fast the hash is, and every call would pay for a slow one.
    """
    return hashlib.sha256(secret.encode()).digest()


def create(database: Database, new: NewKey) -> tuple[ApiKey, str]:
    """Create a key, and its tenant if it is new; the secret is returned here and never again.

    Raises InvalidRequest for an invalid tenant name; WrongState if the tenant has too many keys.
    """
    if TENANT_NAME.fullmatch(new.tenant) is None:
        raise InvalidRequest("a tenant's name consists of up to 63 lower-case letters, digits, `.`, `_` or `-`")
    secret = new_secret()
    with database.transaction() as session:
        _ensure_tenant(session, new.tenant)
        mine = (ApiKeyRow.tenant == new.tenant) & ApiKeyRow.revoked_at.is_(None)
        if int(session.scalar(select(func.count()).where(mine)) or 0) >= MAX_KEYS_OF_TENANT:
            raise WrongState(f"the tenant's limit of {MAX_KEYS_OF_TENANT} keys is reached; revoke one first")
        values = _values(new, secret) | {"id": ids.new_id()}
        row = session.scalars(insert(ApiKeyRow).values(**values).returning(ApiKeyRow)).one()
        return _key_of(row), secret


def ensure_admin_key(database: Database, secret: str | None) -> None:
    """Enable the key from the settings, with all scopes for the default tenant; revoke it if `secret` is None."""
    if secret is None:
        with database.transaction() as session:
            session.execute(
                update(ApiKeyRow)
                .where(ApiKeyRow.id == ADMIN_KEY_ID, ApiKeyRow.revoked_at.is_(None))
                .values(revoked_at=func.now())
            )
        return
    new = NewKey("PARAQUEUE_ADMIN_KEY", DEFAULT_TENANT, ALL_SCOPES)
    anew = {"hash": digest_of(secret), "hint": secret[:HINT_CHARACTERS], "revoked_at": None, "previous_hash": None}
    with database.transaction() as session:
        _ensure_tenant(session, new.tenant)
        statement = insert(ApiKeyRow).values(**_values(new, secret), id=ADMIN_KEY_ID)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[ApiKeyRow.id],
                set_=anew,
                where=(ApiKeyRow.hash != anew["hash"]) | ApiKeyRow.revoked_at.is_not(None),
            )
        )


def authenticated(database: Database, digest: bytes) -> ApiKey:
    """Return the key with this hash and record its use. Raises Unauthenticated if it is unknown, revoked or expired."""
    before = (ApiKeyRow.previous_hash == digest) & (ApiKeyRow.previous_until > func.now())
    return _usable(database, or_(ApiKeyRow.hash == digest, before))


def _usable(database: Database, which: ColumnElement[bool]) -> ApiKey:
    expired = ApiKeyRow.expires_at <= func.now()
    long_ago = ago(LAST_USED_SECONDS)
    unnoted = ApiKeyRow.last_used_at.is_(None) | (ApiKeyRow.last_used_at < long_ago)
    with database.transaction() as session:
        found = session.execute(select(ApiKeyRow, expired, unnoted).where(which)).one_or_none()
        if found is None:
            raise Unauthenticated("there is no such API key")
        row, is_expired, is_unnoted = found
        if row.revoked_at is not None:
            raise Unauthenticated("the API key was revoked")
        if is_expired:
            raise Unauthenticated("the API key has expired")
        key = _key_of(row)
        if is_unnoted:
            used = update(ApiKeyRow).where(ApiKeyRow.id == row.id, unnoted).values(last_used_at=func.now())
            session.execute(used.execution_options(synchronize_session=False))
        return key


def get_key(database: Database, key_id: uuid.UUID, *, tenant: str | None = None) -> ApiKey:
    """Return one key. Raises NotFound, also for a key of a tenant other than the given one."""
    with database.transaction() as session:
        return _key_of(_existing(session, key_id, tenant))


def largest_upload(database: Database, key_id: uuid.UUID) -> int | None:
    """Return the key's own limit for an audio file in bytes; None if it has none, or if the caller uses a token."""
    with database.transaction() as session:
        return session.scalar(select(ApiKeyRow.max_upload_bytes).where(ApiKeyRow.id == key_id)) or None


def all_keys(database: Database, *, tenant: str | None = None) -> list[ApiKey]:
    """Return the keys of a tenant, or of all tenants, newest first, including revoked ones."""
    statement = select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id.desc())
    if tenant is not None:
        statement = statement.where(ApiKeyRow.tenant == tenant)
    with database.transaction() as session:
        return [_key_of(row) for row in session.scalars(statement)]


def names_of(database: Database, key_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the names of those ids that are keys."""
    with database.transaction() as session:
        rows = session.execute(select(ApiKeyRow.id, ApiKeyRow.name).where(ApiKeyRow.id.in_(list(key_ids))))
        return {row.id: row.name for row in rows}


def revoke(database: Database, key_id: uuid.UUID, *, tenant: str | None = None) -> ApiKey:
    """Revoke a key permanently; idempotent. Its jobs and usage are kept. Raises NotFound, WrongState."""
    _not_of_the_settings(key_id)
    with database.transaction() as session:
        row = _existing(session, key_id, tenant)
        if row.revoked_at is None:
            row = _changed(session, key_id, {"revoked_at": func.now(), "previous_hash": None, "previous_until": None})
        return _key_of(row)


def rotate(
    database: Database, key_id: uuid.UUID, *, grace_seconds: float, tenant: str | None = None
) -> tuple[ApiKey, str]:
    """Create a new secret for a key, returned here and never again; the old one is valid until the grace period ends.

    Rotating again within the grace period invalidates the oldest secret. Raises NotFound; WrongState for a revoked key.
    """
    _not_of_the_settings(key_id)
    secret = new_secret()
    values: dict[str, Any] = {"hash": digest_of(secret), "hint": secret[:HINT_CHARACTERS]}
    values["previous_hash"] = ApiKeyRow.hash if grace_seconds > 0 else None
    values["previous_until"] = from_now(grace_seconds) if grace_seconds > 0 else None
    with database.transaction() as session:
        if _existing(session, key_id, tenant).revoked_at is not None:
            raise WrongState("the key is revoked; make a new one")
        return _key_of(_changed(session, key_id, values)), secret


def _not_of_the_settings(key_id: uuid.UUID) -> None:
    if key_id == ADMIN_KEY_ID:
        raise WrongState("this key is defined by the setting PARAQUEUE_ADMIN_KEY; change or remove it there")


def _ensure_tenant(session: Session, name: str) -> None:
    session.execute(insert(TenantRow).values(name=name).on_conflict_do_nothing())


def _values(new: NewKey, secret: str) -> dict[str, Any]:
    return {
        "tenant": new.tenant,
        "name": new.name,
        "hash": digest_of(secret),
        "hint": secret[:HINT_CHARACTERS],
        "scopes": sorted(new.scopes),
        "expires_at": new.expires_at,
        **{name: getattr(new.limits, name) for name in KeyLimits.__slots__},
    }


def _existing(session: Session, key_id: uuid.UUID, tenant: str | None) -> ApiKeyRow:
    row = session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None or tenant not in (None, row.tenant):
        raise NotFound(f"not found: {ids.shown(ids.KEY, key_id)!r}")
    return row


def _changed(session: Session, key_id: uuid.UUID, values: dict[str, Any]) -> ApiKeyRow:
    statement = update(ApiKeyRow).where(ApiKeyRow.id == key_id).values(**values).returning(ApiKeyRow)
    return session.scalars(statement.execution_options(populate_existing=True)).one()


def _key_of(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        created_at=row.created_at,
        tenant=row.tenant,
        name=row.name,
        hint=row.hint,
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        last_used_at=row.last_used_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        previous_until=row.previous_until,
        limits=KeyLimits(**{name: getattr(row, name) for name in KeyLimits.__slots__}),
    )
