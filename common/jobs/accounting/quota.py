"""Quotas of a key for queued jobs and audio usage, checked in the transaction that submits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from common.errors import InvalidRequest, QuotaExceeded

MINUTE_MS = 60_000
QUEUE_AGAIN_SECONDS = 30
# When a key is within this many jobs of its limit, its submissions are serialized, so that concurrent ones cannot
# exceed it together.
CLOSE = 100


# Raw SQL, because the states must be literals: a partial index of open jobs cannot be used in a plan for any state.
WAITING = text("""
SELECT count(*) FROM (SELECT FROM jobs WHERE key_id = :key_id AND status = 'queued' LIMIT :number) AS waiting
""")
USED_MS = text("""
SELECT (SELECT coalesce(sum(audio_ms), 0) FROM usage_daily WHERE key_id = :key_id AND day >= CAST(:start AS date))
     + (SELECT coalesce(sum(greatest(processed_ms, coalesce(declared_ms, 0))), 0) FROM jobs
        WHERE key_id = :key_id AND status = 'processing')
""")


@dataclass(frozen=True, slots=True)
class Quota:
    """Limits of a key; 0 means unlimited."""

    max_queued: int = 0
    audio_minutes_per_day: int = 0
    audio_minutes_per_month: int = 0


NO_QUOTA = Quota()


def check(session: Session, key_id: uuid.UUID | None, quota: Quota, *, adding: int = 1) -> None:
    """Raise QuotaExceeded if the key has no room for `adding` more jobs, or has used up its minutes.

    `adding` is 0 if the caller's transaction has already queued the jobs. Raises InvalidRequest if `adding` alone
    exceeds the maximum number of queued jobs of the key.

    Usage is the audio of runs that ended since the day or month began (UTC), plus, for running jobs, the audio
    processed so far or the declared duration. The duration of a waiting job's audio is not known yet, so it does not
    count.
    """
    if key_id is None:
        return
    if quota.max_queued:
        _check_queue(session, key_id, quota.max_queued, adding)
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight.replace(day=1)
    for minutes, start, end, name in (
        (quota.audio_minutes_per_day, midnight, midnight + timedelta(days=1), "day"),
        (quota.audio_minutes_per_month, first, (first + timedelta(days=32)).replace(day=1), "month"),
    ):
        if minutes and _used_ms(session, key_id, start) >= minutes * MINUTE_MS:
            left = int((end - datetime.now(UTC)).total_seconds()) + 1
            raise QuotaExceeded(f"the key has used its {minutes} minutes of audio for this {name}", left)


def _check_queue(session: Session, key_id: uuid.UUID, limit: int, adding: int) -> None:
    if adding > limit:
        raise InvalidRequest(f"{adding} jobs exceed the key's limit of {limit} queued jobs")
    waiting = _waiting(session, key_id, limit + 1)
    if waiting + adding > limit - CLOSE * max(adding, 1):
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(key_id), 0))))
        waiting = _waiting(session, key_id, limit + 1)
    if waiting + adding > limit:
        more = "" if adding <= 1 else f": there is no room for {adding} more, so none was taken"
        told = f"the key has {min(waiting, limit)} jobs in the queue, and may have {limit}{more}"
        raise QuotaExceeded(told, QUEUE_AGAIN_SECONDS)


def _waiting(session: Session, key_id: uuid.UUID, limit: int) -> int:
    return int(session.scalar(WAITING, {"key_id": key_id, "number": limit}) or 0)


def _used_ms(session: Session, key_id: uuid.UUID, start: datetime) -> int:
    return int(session.scalar(USED_MS, {"key_id": key_id, "start": start}) or 0)
