"""Authenticated callers and their limits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from common.jobs import Quota
from common.keys import KeyLimits, Scope
from common.models import DEFAULT_TENANT
from common.settings import Settings


@dataclass(frozen=True, slots=True)
class CallerLimits:
    """Limits of a caller; 0 means no limit."""

    requests_per_minute: int
    max_running: int
    max_queued: int
    audio_minutes_per_day: int
    audio_minutes_per_month: int
    max_upload_bytes: int


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: it sees and creates only data of `tenant`. `key_id` is None if authentication is off."""

    tenant: str
    key_id: uuid.UUID | None
    name: str
    scopes: frozenset[Scope]
    limits: CallerLimits
    by_key: bool = False

    @property
    def quota(self) -> Quota:
        """The quota that this caller's submissions are checked against."""
        limits = self.limits
        return Quota(limits.max_queued, limits.audio_minutes_per_day, limits.audio_minutes_per_month)

    @property
    def operator(self) -> bool:
        """Whether it administers the whole installation, and not only its own tenant."""
        return self.tenant == DEFAULT_TENANT and Scope.ADMIN in self.scopes


def limits_of(own: KeyLimits, settings: Settings) -> CallerLimits:
    """Return a key's own limits, with defaults from the settings where it has none."""

    def chosen(mine: int | None, default: int) -> int:
        return default if mine is None else mine

    largest = settings.max_upload_bytes
    return CallerLimits(
        requests_per_minute=chosen(own.requests_per_minute, settings.key_requests_per_minute),
        max_running=chosen(own.max_running, settings.key_max_running),
        max_queued=chosen(own.max_queued, settings.key_max_queued),
        audio_minutes_per_day=chosen(own.audio_minutes_per_day, settings.key_audio_minutes_per_day),
        audio_minutes_per_month=chosen(own.audio_minutes_per_month, settings.key_audio_minutes_per_month),
        max_upload_bytes=min(own.max_upload_bytes or largest, largest),
    )
