"""How much one key may have in the queue and use of audio, checked in the transaction that submits."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from common.errors import QuotaExceeded
from common.job_states import Status
from common.models import JobRow, UsageRow

MINUTE_MS = 60_000
QUEUE_AGAIN_SECONDS = 30
# Closer to the limit than this, submits of the key go one after the other, so that they cannot pass it together.
CLOSE = 100


@dataclass(frozen=True, slots=True)
class Quota:
    """What a key may use; 0 is no limit."""

    max_queued: int = 0
    audio_minutes_per_day: int = 0
    audio_minutes_per_month: int = 0


NO_QUOTA = Quota()


def check(session: Session, key_id: uuid.UUID | None, quota: Quota, *, adding: int = 1) -> None:
    """Raise QuotaExceeded if the key has no room for so many more jobs, or has used up its minutes.

    What counts: the audio of runs that ended since the day or month began (UTC), and what running jobs have
    done so far, or declared to be. How long the audio of a waiting job is, nobody knows yet; it does not count.
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
            raise QuotaExceeded(f"the key has used its {minutes} minutes of audio of this {name}", left)


def _check_queue(session: Session, key_id: uuid.UUID, limit: int, adding: int) -> None:
    waiting = _waiting(session, key_id, limit)
    if waiting + adding > limit - CLOSE:
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(key_id), 0))))
        waiting = _waiting(session, key_id, limit)
    if waiting + adding > limit:
        raise QuotaExceeded(f"the key has {waiting} jobs in the queue, and may have {limit}", QUEUE_AGAIN_SECONDS)


def _waiting(session: Session, key_id: uuid.UUID, limit: int) -> int:
    some = select(JobRow.id).where(JobRow.key_id == key_id, JobRow.status == Status.QUEUED).limit(limit).subquery()
    return int(session.scalar(select(func.count()).select_from(some)) or 0)


def _used_ms(session: Session, key_id: uuid.UUID, start: datetime) -> int:
    ended = select(func.coalesce(func.sum(UsageRow.audio_ms), 0)).where(
        UsageRow.key_id == key_id, UsageRow.ended_at >= start
    )
    so_far = func.greatest(JobRow.processed_ms, func.coalesce(JobRow.declared_ms, 0))
    running = select(func.coalesce(func.sum(so_far), 0)).where(
        JobRow.key_id == key_id, JobRow.status == Status.PROCESSING
    )
    return int(session.scalar(ended) or 0) + int(session.scalar(running) or 0)
