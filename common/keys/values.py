"""API keys, and the rights that a key may give to the keys it creates."""

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
    """A permission of a caller. No scope includes another."""

    SUBMIT = "submit"
    READ = "read"
    ADMIN = "admin"


ALL_SCOPES = frozenset(Scope)
# The default priority of jobs, and the highest that a key may use unless it was given a higher one.
DEFAULT_PRIORITY = 5
HIGHEST_PRIORITY = 9


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. `hint` is its beginning. The previous secret works until `previous_until`."""

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
    max_priority: int = DEFAULT_PRIORITY

    @property
    def public_id(self) -> str:
        """The id in the form that the API shows."""
        return ids.shown(ids.KEY, self.id)


@dataclass(frozen=True, slots=True)
class NewKey:
    """The values of a new key."""

    name: str
    tenant: str = DEFAULT_TENANT
    scopes: frozenset[Scope] = frozenset({Scope.SUBMIT, Scope.READ})
    expires_at: datetime | None = None
    limits: OwnLimits = NO_OWN_LIMITS
    max_priority: int | None = None


@dataclass(frozen=True, slots=True)
class Maker:
    """The caller who creates or changes a key over HTTP; the key may not expire later or have more rights than it.

    Callers with a token have no limits of a key.
    """

    key_id: uuid.UUID | None
    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    limits: OwnLimits = NO_OWN_LIMITS
    max_priority: int = DEFAULT_PRIORITY

    def bounded(self, new: NewKey) -> NewKey:
        """Return the key with unset values taken from the maker. Raises Forbidden if it exceeds the maker's rights."""
        limits = {name: getattr(new.limits, name) or getattr(self.limits, name) for name in tenants.LIMITS}
        priority = min(DEFAULT_PRIORITY, self.max_priority) if new.max_priority is None else new.max_priority
        bounded = replace(
            new, expires_at=new.expires_at or self.expires_at, limits=OwnLimits(**limits), max_priority=priority
        )
        self.check(bounded.scopes, bounded.expires_at, bounded.limits, priority)
        return bounded

    def check(
        self, scopes: frozenset[Scope], expires_at: datetime | None, limits: OwnLimits, max_priority: int
    ) -> None:
        """Raise Forbidden if the values exceed the maker's."""
        if max_priority > self.max_priority:
            raise Forbidden(f"`max_priority` cannot exceed {self.max_priority}, that of the key creating it")
        if not scopes <= self.scopes:
            raise Forbidden("a key cannot have a scope that the key creating it lacks")
        if self.expires_at is not None and (expires_at is None or expires_at > self.expires_at):
            raise Forbidden("a key cannot expire later than the key creating it")
        for name in tenants.LIMITS:
            own, theirs = getattr(self.limits, name), getattr(limits, name)
            if own and (not theirs or theirs > own):
                raise Forbidden(f"`{name}` cannot exceed that of the key creating it")


@dataclass(frozen=True, slots=True)
class KeyPage:
    """Keys, newest first, and the cursor of the next page; None on the last page."""

    keys: tuple[ApiKey, ...]
    next_cursor: str | None
