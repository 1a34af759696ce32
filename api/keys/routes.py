"""API keys: create, list, rotate, revoke.

An admin sees and creates the keys of its own tenant. An admin of the tenant `default` is the operator: it sees all
keys, and creates keys for any tenant.
"""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from api.auth.callers import Caller
from api.deps import AdminCaller, ServiceDep, public_url, v1_router
from api.keys.schemas import KeyCreate, KeyList, KeyOut, KeyRotate, KeyWithSecret, key_out, limits_in, with_secret
from common import ids, keys
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


@router.post("", status_code=201)
def create(
    request: Request, response: Response, service: ServiceDep, caller: AdminCaller, asked: KeyCreate
) -> KeyWithSecret:
    """Make a key. The answer holds it, and it cannot be read again.

    What is not said of it is as with the key that makes it; it can have no more than that one: no other scopes, no
    wider limits, no longer time. It ends when that one is revoked.
    """
    tenant = asked.tenant or caller.tenant
    if tenant != caller.tenant and not caller.operator:
        raise Forbidden("only the operator may create keys for other tenants")
    new = NewKey(asked.name, tenant, frozenset(asked.scopes), asked.expires_at, limits_in(asked.limits))
    key, secret = keys.create(service.database, new, caller.maker)
    response.headers["Location"] = f"{public_url(request, service)}/v1/keys/{key.public_id}"
    response.headers["Cache-Control"] = "no-store"
    return with_secret(key, secret)


@router.get("")
def list_keys(
    service: ServiceDep,
    caller: AdminCaller,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> KeyList:
    """A page of the keys that you see, newest first. Keys that were revoked a month ago are not listed any more."""
    page = keys.key_page(service.database, tenant=_seen_by(caller), after=after, limit=limit)
    return KeyList(data=[key_out(key) for key in page.keys], next=page.next_cursor)


@router.get("/{key_id}")
def get_key(service: ServiceDep, caller: AdminCaller, key: KeyId) -> KeyOut:
    """One key."""
    return key_out(keys.get_key(service.database, key, tenant=_seen_by(caller)))


@router.delete("/{key_id}", status_code=204, response_class=Response)
def revoke(service: ServiceDep, caller: AdminCaller, key: KeyId) -> None:
    """End a key for good, and all keys that were made with it. Their jobs and their usage stay."""
    keys.revoke(service.database, key, tenant=_seen_by(caller))


@router.post("/{key_id}/rotate")
def rotate(
    response: Response, service: ServiceDep, caller: AdminCaller, key: KeyId, asked: KeyRotate | None = None
) -> KeyWithSecret:
    """A new secret, shown this once. Until the grace time ends, the old one works as well."""
    grace_seconds = (asked or KeyRotate()).grace_hours * HOUR_SECONDS
    rotated, secret = keys.rotate(
        service.database, key, grace_seconds=grace_seconds, tenant=_seen_by(caller), maker=caller.maker
    )
    response.headers["Cache-Control"] = "no-store"
    return with_secret(rotated, secret)
