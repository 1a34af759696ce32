"""What is known of an API key, and what its maker may give it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from common import ids, tenants
from common.errors import Forbidden
from common.models import DEFAULT_TENANT
from common.tenants import NO_OWN_LIMITS, OwnLimits


class Scope(StrEnum):
    """What a caller may do. None of them holds another."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret; `hint` is how it begins. Until `previous_until` the secret before still works."""

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
    limits: OwnLimits
    made_by: uuid.UUID | None = None

    @property
    def public_id(self) -> str:
        """The id as clients know it."""
        return ids.shown(ids.KEY, self.id)


@dataclass(frozen=True, slots=True)
class NewKey:
    """What is said of a key when it is made."""

    name: str
    tenant: str = DEFAULT_TENANT
    scopes: frozenset[Scope] = frozenset({Scope.SUBMIT, Scope.READ})
    expires_at: datetime | None = None
    limits: OwnLimits = NO_OWN_LIMITS


@dataclass(frozen=True, slots=True)
class Maker:
    """Who makes or changes a key over HTTP: no key may outlive or outrank it. A token's holder has no key's limits."""

    key_id: uuid.UUID | None
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    limits: OwnLimits = NO_OWN_LIMITS

    def bounded(self, new: NewKey) -> NewKey:
        """The key as it may be made: what was not said of it is as with its maker. Raises Forbidden."""
        limits = {name: getattr(new.limits, name) or getattr(self.limits, name) for name in tenants.LIMITS}
        bounded = replace(new, expires_at=new.expires_at or self.expires_at, limits=OwnLimits(**limits))
        self.check(bounded.scopes, bounded.expires_at, bounded.limits)
        return bounded

    def check(self, scopes: frozenset[Scope], expires_at: datetime | None, limits: OwnLimits) -> None:
        """Raise Forbidden for more than the maker has itself."""
        if not scopes <= self.scopes:
            raise Forbidden("a key cannot have a scope that the key which makes it has not")
        if self.expires_at is not None and (expires_at is None or expires_at > self.expires_at):
            raise Forbidden("a key cannot last longer than the key which makes it")
        for name in tenants.LIMITS:
            own, theirs = getattr(self.limits, name), getattr(limits, name)
            if own and (not theirs or theirs > own):
                raise Forbidden(f"`{name}` cannot be wider than that of the key which makes it")


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Some keys, newest first, and the cursor behind them; None where there are no more."""

    keys: tuple[ApiKey, ...]
    next_cursor: str | None
