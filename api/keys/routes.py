"""API keys: create, list, rotate, revoke.

An admin sees and creates the keys of its own tenant. An admin of the tenant `default` is the operator: it sees all
keys, and creates keys for any tenant.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from api.auth.callers import Caller
from api.deps import AdminCaller, DatabaseDep, public_url, v1_router
from api.http.error_responses import errors_of
from api.http.integers import AS_IN_JSON
from api.http.paging import After
from api.keys.schemas import KeyCreate, KeyList, KeyOut, KeyRotate, KeyWithSecret, key_out, limits_in, with_secret
from common import errors, ids, keys
from common.errors import Forbidden
from common.keys import NewKey

router = v1_router("/v1/keys", "keys")
HOUR_SECONDS = 3600.0


async def key_uuid(key_id: str) -> uuid.UUID:
    """Return the UUID of a key id in a path. Raises NotFound if it is not a valid key id."""
    return ids.parsed(ids.KEY, key_id)


KeyId = Annotated[uuid.UUID, Depends(key_uuid)]


def _seen_by(caller: Caller) -> str | None:
    """Return the tenant whose keys a caller sees; None means all tenants."""
    return None if caller.operator else caller.tenant


@router.post("", status_code=201, responses=errors_of(errors.WrongState))
def create_key(
    request: Request, response: Response, database: DatabaseDep, caller: AdminCaller, body: KeyCreate
) -> KeyWithSecret:
    """Create a key. The response contains it; it cannot be read again.

    Unset values are those of the key that creates it, whose rights it cannot exceed: no other scopes, no wider limits,
    no later expiry. It is revoked together with that key.
    """
    tenant = body.tenant or caller.tenant
    if tenant != caller.tenant and not caller.operator:
        raise Forbidden("only the operator may create keys for other tenants")
    limits = limits_in(body.limits)
    new = NewKey(body.name, tenant, frozenset(body.scopes), body.expires_at, limits, body.max_priority)
    key, secret = keys.create(database, new, caller.maker)
    response.headers["Location"] = f"{public_url(request)}/v1/keys/{key.public_id}"
    response.headers["Cache-Control"] = "no-store"
    return with_secret(key, secret)


@router.get("")
def list_keys(
    database: DatabaseDep,
    caller: AdminCaller,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=1000), AS_IN_JSON] = 100,
) -> KeyList:
    """A page of the keys visible to the caller, newest first. Keys revoked more than a month ago are not listed."""
    page = keys.key_page(database, tenant=_seen_by(caller), after=after, limit=limit)
    return KeyList(data=[key_out(key) for key in page.keys], next=page.next_cursor)


@router.get("/{key_id}")
def get_key(database: DatabaseDep, caller: AdminCaller, key: KeyId) -> KeyOut:
    """One key."""
    return key_out(keys.get_key(database, key, tenant=_seen_by(caller)))


@router.delete("/{key_id}", status_code=204, response_class=Response, responses=errors_of(errors.WrongState))
def revoke_key(database: DatabaseDep, caller: AdminCaller, key: KeyId) -> None:
    """Revoke a key and all keys created with it, permanently. Their jobs and usage records remain."""
    keys.revoke(database, key, tenant=_seen_by(caller))


@router.post("/{key_id}/rotate", responses=errors_of(errors.WrongState))
def rotate_key(
    response: Response, database: DatabaseDep, caller: AdminCaller, key: KeyId, body: KeyRotate | None = None
) -> KeyWithSecret:
    """Replace the secret of a key. The new one is shown only once; the old one works until the grace time ends."""
    grace_seconds = (body or KeyRotate()).grace_hours * HOUR_SECONDS
    rotated, secret = keys.rotate(
        database, key, grace_seconds=grace_seconds, tenant=_seen_by(caller), maker=caller.maker
    )
    response.headers["Cache-Control"] = "no-store"
    return with_secret(rotated, secret)
