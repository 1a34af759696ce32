"""The authenticated caller of a request and its permissions."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from common import ids
from common.jobs import Allowance, Quota
from common.keys import DEFAULT_PRIORITY, HIGHEST_PRIORITY, Maker, Scope
from common.models import DEFAULT_TENANT
from common.settings import Settings
from common.tenants import NO_OWN_LIMITS, OwnLimits


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """What all keys of a caller's tenant may use together; 0 is no limit. `max_upload_bytes` is for one file."""

    requests_per_minute: int
    max_running: int
    max_queued: int
    audio_minutes_per_day: int
    audio_minutes_per_month: int
    max_upload_bytes: int


@dataclass(frozen=True, slots=True)
class Caller:
    """The authenticated caller, limited to the resources of `tenant`. `key_id` is None without authentication."""

    tenant: str
    key_id: uuid.UUID | None
    name: str
    scopes: frozenset[Scope]
    limits: CallerLimits
    by_key: bool = False
    own_limits: OwnLimits = NO_OWN_LIMITS
    expires_at: datetime | None = None
    max_priority: int = DEFAULT_PRIORITY

    @property
    def quota(self) -> Quota:
        """What a submission of this caller is held against."""
        return Quota(_allowance(self.limits), _allowance(self.own_limits))

    @property
    def call_limits(self) -> list[tuple[str, int]]:
        """What calls are counted for, and how many a minute it may have: the key, where it is narrower; the tenant."""
        if self.key_id is None:
            return []
        key = ids.shown(ids.KEY, self.key_id), self.own_limits.requests_per_minute or 0
        return [item for item in (key, (f"tenant/{self.tenant}", self.limits.requests_per_minute)) if item[1]]

    @property
    def maker(self) -> Maker | None:
        """As whom the caller makes keys; None where authentication is off."""
        if self.key_id is None:
            return None
        # The operator decides which keys may ask for high priorities.
        highest = HIGHEST_PRIORITY if self.operator else self.max_priority
        return Maker(self.key_id, self.scopes, self.expires_at, self.own_limits, highest)

    @property
    def operator(self) -> bool:
        """Whether it administers the installation, and not only its own tenant."""
        return self.tenant == DEFAULT_TENANT and Scope.ADMIN in self.scopes


def _allowance(limits: CallerLimits | OwnLimits) -> Allowance:
    return Allowance(limits.max_queued or 0, limits.audio_minutes_per_day or 0, limits.audio_minutes_per_month or 0)


def limits_of(own: OwnLimits, settings: Settings, key: OwnLimits = NO_OWN_LIMITS) -> CallerLimits:
    """A tenant's limits, and the settings' ones where it has none; a file must also suit the key."""

    def chosen(mine: int | None, default: int) -> int:
        return default if mine is None else mine

    largest = settings.max_upload_bytes
    return CallerLimits(
        requests_per_minute=chosen(own.requests_per_minute, settings.tenant_requests_per_minute),
        max_running=chosen(own.max_running, settings.tenant_max_running),
        max_queued=chosen(own.max_queued, settings.tenant_max_queued),
        audio_minutes_per_day=chosen(own.audio_minutes_per_day, settings.tenant_audio_minutes_per_day),
        audio_minutes_per_month=chosen(own.audio_minutes_per_month, settings.tenant_audio_minutes_per_month),
        max_upload_bytes=min(own.max_upload_bytes or largest, key.max_upload_bytes or largest, largest),
    )
