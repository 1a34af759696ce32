"""API keys in the database: create, authenticate, list, rotate, revoke."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Iterable
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import ids, tenants
from common.db import Database, cursors
from common.db.leases import ago, from_now
from common.errors import Unauthenticated, WrongState
from common.keys.values import (
    ALL_SCOPES,
    DEFAULT_PRIORITY,
    HIGHEST_PRIORITY,
    ApiKey,
    KeyPage,
    Maker,
    NewKey,
    Scope,
)
from common.models import DEFAULT_TENANT, ApiKeyRow, ShareRow, TenantRow
from common.settings import API_KEY_PREFIX
from common.tenants import OwnLimits

SECRET_BYTES = 32
# Enough characters to recognise a key, and no help in guessing the remaining 256 bits.
HINT_CHARACTERS = len(API_KEY_PREFIX) + 4
# Exact times would cost an UPDATE and a dead row per call.
LAST_USED_SECONDS = 60
MAX_KEYS_OF_TENANT = 1000
REVOKED_SHOWN_SECONDS = 30 * 24 * 3600
# The key from the settings. Its row has a fixed id, so that a changed setting replaces it.
ADMIN_KEY_ID = uuid.uuid5(uuid.NAMESPACE_URL, "urn:paraqueue:admin-key")
# An arbitrary number that no other advisory lock uses.
ADMIN_KEY_LOCK = 0x7061_6B65


def new_secret() -> str:
    """Return a new key: 256 random bits after a prefix that secret scanners recognise."""
    return API_KEY_PREFIX + secrets.token_urlsafe(SECRET_BYTES)


def digest_of(secret: str) -> bytes:
    """Return the hash under which a key is stored.

    Plain SHA-256 suffices: slow password hashes protect guessable passwords, but 256 random bits cannot be guessed,
    and a slow hash would cost time in every call.
    """
    return hashlib.sha256(secret.encode()).digest()


def create(database: Database, new: NewKey, maker: Maker | None = None) -> tuple[ApiKey, str]:
    """Create a key, and its tenant if necessary. The secret cannot be read later.

    Raises InvalidRequest for an invalid tenant name; WrongState if the tenant has too many keys; Forbidden if the key
    would expire later or have more rights than its maker (None: the operator's command line).
    """
    if maker is not None:
        new = maker.bounded(new)
    secret = new_secret()
    with database.transaction() as session:
        tenants.ensure(session, new.tenant)
        mine = (ApiKeyRow.tenant == new.tenant) & ApiKeyRow.revoked_at.is_(None)
        if int(session.scalar(select(func.count()).where(mine)) or 0) >= MAX_KEYS_OF_TENANT:
            raise WrongState(f"the tenant's limit of {MAX_KEYS_OF_TENANT} keys is reached; revoke one first")
        values = _values(new, secret) | {"id": ids.new_id(), "made_by": maker.key_id if maker is not None else None}
        row = session.scalars(insert(ApiKeyRow).values(**values).returning(ApiKeyRow)).one()
        return _key_of(row), secret


def ensure_admin_key(database: Database, secret: str | None) -> None:
    """Store the admin key from the settings, with all scopes for the default tenant; revoke it if it is unset.

    With another key than before, the share links that were made with the one before end.
    """
    if secret is None:
        with database.transaction() as session:
            session.execute(
                update(ApiKeyRow)
                .where(ApiKeyRow.id == ADMIN_KEY_ID, ApiKeyRow.revoked_at.is_(None))
                .values(revoked_at=func.now())
            )
        return
    new = NewKey("PARAQUEUE_ADMIN_KEY", DEFAULT_TENANT, ALL_SCOPES, max_priority=HIGHEST_PRIORITY)
    anew = {"hash": digest_of(secret), "hint": secret[:HINT_CHARACTERS], "revoked_at": None, "previous_hash": None}
    with database.transaction() as session:
        # Serialised: the conflict clause below covers only the id, but two concurrent first calls also collide on the
        # hash.
        session.execute(select(func.pg_advisory_xact_lock(ADMIN_KEY_LOCK)))
        tenants.ensure(session, new.tenant)
        if session.scalar(select(ApiKeyRow.hash).where(ApiKeyRow.id == ADMIN_KEY_ID)) not in (None, anew["hash"]):
            session.execute(delete(ShareRow).where(ShareRow.made_by == ADMIN_KEY_ID))
        statement = insert(ApiKeyRow).values(**_values(new, secret), id=ADMIN_KEY_ID)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=[ApiKeyRow.id],
                set_=anew,
                where=(ApiKeyRow.hash != anew["hash"]) | ApiKeyRow.revoked_at.is_not(None),
            )
        )


def authenticated(database: Database, digest: bytes) -> tuple[ApiKey, OwnLimits]:
    """Return the key with this hash and its tenant's limits, and record that the key was used.

    Raises Unauthenticated if the key is unknown, revoked or expired.
    """
    before = (ApiKeyRow.previous_hash == digest) & (ApiKeyRow.previous_until > func.now())
    return _usable(database, or_(ApiKeyRow.hash == digest, before))


def _usable(database: Database, which: ColumnElement[bool]) -> tuple[ApiKey, OwnLimits]:
    expired = ApiKeyRow.expires_at <= func.now()
    long_ago = ago(LAST_USED_SECONDS)
    unnoted = ApiKeyRow.last_used_at.is_(None) | (ApiKeyRow.last_used_at < long_ago)
    with database.transaction() as session:
        keys = select(ApiKeyRow, TenantRow, expired, unnoted).join(TenantRow, TenantRow.name == ApiKeyRow.tenant)
        key_row = session.execute(keys.where(which)).one_or_none()
        if key_row is None:
            raise Unauthenticated("there is no such API key")
        row, tenant, is_expired, is_unnoted = key_row
        if row.revoked_at is not None:
            raise Unauthenticated("the API key was revoked")
        if is_expired:
            raise Unauthenticated("the API key has expired")
        key = _key_of(row)
        if is_unnoted:
            used = update(ApiKeyRow).where(ApiKeyRow.id == row.id, unnoted).values(last_used_at=func.now())
            session.execute(used.execution_options(synchronize_session=False))
        return key, tenants.limits_in(tenant)


def get_key(database: Database, key_id: uuid.UUID, *, tenant: str | None = None) -> ApiKey:
    """Return a key. Raises NotFound, also if it belongs to another tenant than the given one."""
    with database.transaction() as session:
        return _key_of(_existing(session, key_id, tenant))


def all_keys(database: Database, *, tenant: str | None = None) -> list[ApiKey]:
    """Return the keys of one tenant or of all, newest first, including revoked keys."""
    statement = select(ApiKeyRow).order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id.desc())
    if tenant is not None:
        statement = statement.where(ApiKeyRow.tenant == tenant)
    with database.transaction() as session:
        return [_key_of(row) for row in session.scalars(statement)]


def key_page(database: Database, *, tenant: str | None, after: str | None = None, limit: int = 100) -> KeyPage:
    """Return a page of the keys of one tenant or of all, without keys revoked more than a month ago.

    Raises InvalidRequest for a cursor that is not ours.
    """
    long_ago = ago(REVOKED_SHOWN_SECONDS)
    statement = (
        select(ApiKeyRow)
        .where(or_(ApiKeyRow.revoked_at.is_(None), ApiKeyRow.revoked_at > long_ago))
        .order_by(ApiKeyRow.created_at.desc(), ApiKeyRow.id.desc())
        .limit(limit + 1)
    )
    if tenant is not None:
        statement = statement.where(ApiKeyRow.tenant == tenant)
    if after is not None:
        statement = statement.where(tuple_(ApiKeyRow.created_at, ApiKeyRow.id) < tuple_(*cursors.decoded(after)))
    with database.transaction() as session:
        page = [_key_of(row) for row in session.scalars(statement)]
    more = cursors.encoded(page[limit - 1].created_at, page[limit - 1].id) if len(page) > limit else None
    return KeyPage(tuple(page[:limit]), more)


def names_of(database: Database, key_ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the names of the keys with these ids."""
    with database.transaction() as session:
        rows = session.execute(select(ApiKeyRow.id, ApiKeyRow.name).where(ApiKeyRow.id.in_(list(key_ids))))
        return {row.id: row.name for row in rows}


def revoke(database: Database, key_id: uuid.UUID, *, tenant: str | None = None) -> ApiKey:
    """Revoke a key and all keys created with it, permanently. Idempotent.

    Their jobs and usage records remain. Raises NotFound, WrongState.
    """
    _not_of_the_settings(key_id)
    ended = {"revoked_at": func.now(), "previous_hash": None, "previous_until": None}
    with database.transaction() as session:
        _existing(session, key_id, tenant)
        made = select(ApiKeyRow.id).where(ApiKeyRow.id == key_id).cte("made", recursive=True)
        made = made.union(select(ApiKeyRow.id).join(made, ApiKeyRow.made_by == made.c.id))
        session.execute(
            update(ApiKeyRow)
            .where(ApiKeyRow.id.in_(select(made.c.id)), ApiKeyRow.revoked_at.is_(None))
            .values(**ended)
            .execution_options(synchronize_session=False)
        )
        session.expire_all()
        return _key_of(session.get_one(ApiKeyRow, key_id))


def rotate(
    database: Database,
    key_id: uuid.UUID,
    *,
    grace_seconds: float,
    tenant: str | None = None,
    maker: Maker | None = None,
) -> tuple[ApiKey, str]:
    """Replace the secret of a key and return the new one, which cannot be read later.

    The old secret works until the grace time ends.

    Rotating again within the grace time ends the oldest secret. Raises NotFound; WrongState for a revoked key;
    Forbidden if the key expires later or has more rights than the caller's key, because the caller receives its secret.
    """
    _not_of_the_settings(key_id)
    secret = new_secret()
    values: dict[str, Any] = {"hash": digest_of(secret), "hint": secret[:HINT_CHARACTERS]}
    values["previous_hash"] = ApiKeyRow.hash if grace_seconds > 0 else None
    values["previous_until"] = from_now(grace_seconds) if grace_seconds > 0 else None
    with database.transaction() as session:
        row = _existing(session, key_id, tenant)
        if row.revoked_at is not None:
            raise WrongState("the key is revoked; make a new one")
        if maker is not None:
            key = _key_of(row)
            maker.check(key.scopes, key.expires_at, key.limits, key.max_priority)
        return _key_of(_changed(session, key_id, values)), secret


def _not_of_the_settings(key_id: uuid.UUID) -> None:
    if key_id == ADMIN_KEY_ID:
        raise WrongState("this key is defined by the setting PARAQUEUE_ADMIN_KEY; change or remove it there")


def _values(new: NewKey, secret: str) -> dict[str, Any]:
    return {
        "tenant": new.tenant,
        "name": new.name,
        "hash": digest_of(secret),
        "hint": secret[:HINT_CHARACTERS],
        "scopes": sorted(new.scopes),
        "expires_at": new.expires_at,
        "max_priority": DEFAULT_PRIORITY if new.max_priority is None else new.max_priority,
        **{name: getattr(new.limits, name) for name in tenants.LIMITS},
    }


def _existing(session: Session, key_id: uuid.UUID, tenant: str | None) -> ApiKeyRow:
    row = session.get(ApiKeyRow, key_id, with_for_update=True)
    if row is None or tenant not in (None, row.tenant):
        raise ids.missing(ids.KEY, key_id)
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
        made_by=row.made_by,
        max_priority=row.max_priority,
        limits=tenants.limits_in(row),
    )
