"""Quotas of a tenant and of its keys: queued jobs and minutes of audio.

They are checked in the transaction that submits.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import BigInteger, Date, Text, TextClause, Uuid, bindparam, func, select, text
from sqlalchemy.orm import Session

from common.errors import InvalidRequest, QuotaExceeded

MINUTE_MS = 60_000
QUEUE_AGAIN_SECONDS = 30
# Within this many submissions of the limit, they are serialised, so that concurrent ones cannot exceed it.
CLOSE = 100
OWNERS = {"tenant": "tenant = :owner", "key": "key_id = :owner"}
# Channels that are transcribed separately cost as much as that many recordings. For an unfinished job, only channels
# with recognised sentences are known.
CHANNELS = """CASE WHEN channels = 'split' THEN coalesce(
    result_channels,
    (SELECT max(channel) + 1 FROM sentences WHERE sentences.job_id = jobs.id AND sentences.run = jobs.run),
    1
) ELSE 1 END"""

# The states are literals: with parameters, PostgreSQL cannot use the partial index of open jobs.
WAITING = {
    owner: text(f"SELECT count(*) FROM (SELECT FROM jobs WHERE {its} AND status = 'queued' LIMIT :number) AS waiting")
    for owner, its in OWNERS.items()
}
USED_MS = {
    owner: text(f"""
SELECT (SELECT coalesce(sum(audio_ms), 0) FROM usage_daily WHERE {its} AND day >= CAST(:start AS date))
     + (SELECT coalesce(sum(greatest(processed_ms, coalesce(declared_ms, 0)) * {CHANNELS}), 0) FROM jobs
        WHERE {its} AND status = 'processing')
""")
    for owner, its in OWNERS.items()
}


def has_room(limited: Collection[str]) -> TextClause:
    """Build the condition that a job more is within the quota, for a statement that submits it.

    `limited` are the limits that apply, as `given_limits` names them; their values are its parameters. The condition
    is false also close to a limit of queued jobs, where submissions are serialised.
    """
    conditions: list[str] = []
    kinds: dict[str, Any] = {}
    for name in sorted(limited):
        owner, of = name.split("_")
        its = OWNERS[owner].replace(":owner", f":{owner}_owner")
        kinds |= {name: BigInteger(), f"{owner}_owner": Text() if owner == "tenant" else Uuid()}
        if of == "queued":
            some = f"SELECT FROM jobs WHERE {its} AND status = 'queued' LIMIT :{name}"
            conditions.append(f"(SELECT count(*) FROM ({some}) AS waiting) < :{name} - {CLOSE}")
        else:
            used = str(USED_MS[owner]).replace(OWNERS[owner], its).replace(":start", f":{of}_start")
            conditions.append(f"({used}) < :{name}")
            kinds[f"{of}_start"] = Date()
    parameters = (bindparam(name, type_=kind) for name, kind in kinds.items())
    return text(" AND ".join(conditions)).bindparams(*parameters)


@dataclass(frozen=True, slots=True)
class Allowance:
    """Limits of one tenant or key; 0 means unlimited."""

    max_queued: int = 0
    audio_minutes_per_day: int = 0
    audio_minutes_per_month: int = 0


@dataclass(frozen=True, slots=True)
class Quota:
    """The limits of a submission: those of the tenant, for all its keys together, and those of its key."""

    tenant: Allowance = Allowance()
    key: Allowance = Allowance()


NO_QUOTA = Quota()


@dataclass(frozen=True, slots=True)
class _Owner:
    """The tenant or key whose jobs are counted."""

    kind: Literal["tenant", "key"]
    id: str | uuid.UUID
    allowance: Allowance


def check(session: Session, tenant: str, key_id: uuid.UUID | None, quota: Quota, *, adding: int = 1) -> None:
    """Raise QuotaExceeded if the tenant or key may not queue that many more jobs or has used up its minutes.

    `adding` is 0 where the caller's transaction has queued them already. Raises InvalidRequest for more jobs at once
    than it may ever have in the queue. Without a key nothing is checked.

    Counted are the audio of runs that ended in the current day or month (UTC), once for each channel that was
    transcribed, and the processed or declared duration of running jobs. Waiting jobs do not count, because the
    duration of their audio is not known yet.
    """
    if key_id is None:
        return
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight.replace(day=1)
    for owner in (_Owner("tenant", tenant, quota.tenant), _Owner("key", key_id, quota.key)):
        allowance = owner.allowance
        if allowance.max_queued:
            _check_queue(session, owner, adding)
        for minutes, start, end, name in (
            (allowance.audio_minutes_per_day, midnight, midnight + timedelta(days=1), "day"),
            (allowance.audio_minutes_per_month, first, (first + timedelta(days=32)).replace(day=1), "month"),
        ):
            if minutes and _used_ms(session, owner, start) >= minutes * MINUTE_MS:
                left = int((end - datetime.now(UTC)).total_seconds()) + 1
                raise QuotaExceeded(f"the {owner.kind} has used its {minutes} minutes of audio for this {name}", left)


def given_limits(quota: Quota) -> dict[str, int]:
    """Return the limits that apply, as `tenant_queued`, `key_day` and the like; jobs and milliseconds."""
    limits = {
        f"{owner}_{name}": limit
        for owner, allowance in (("tenant", quota.tenant), ("key", quota.key))
        for name, limit in (
            ("queued", allowance.max_queued),
            ("day", allowance.audio_minutes_per_day * MINUTE_MS),
            ("month", allowance.audio_minutes_per_month * MINUTE_MS),
        )
    }
    return {name: limit for name, limit in limits.items() if limit}


def owners_and_starts(tenant: str, key_id: uuid.UUID | None) -> dict[str, Any]:
    """Return the other parameters of `has_room`: whose jobs are counted, and since when."""
    today = datetime.now(UTC).date()
    starts = {"day_start": today, "month_start": today.replace(day=1)}
    return {"tenant_owner": tenant, "key_owner": key_id, **starts}


def _check_queue(session: Session, owner: _Owner, adding: int) -> None:
    limit = owner.allowance.max_queued
    if adding > limit:
        raise InvalidRequest(f"{adding} jobs exceed the {owner.kind}'s limit of {limit} queued jobs")
    waiting = _waiting(session, owner)
    if waiting + adding > limit - CLOSE * max(adding, 1):
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(owner.id), 0))))
        waiting = _waiting(session, owner)
    if waiting + adding > limit:
        more = "" if adding <= 1 else f": there is no room for {adding} more, so none was taken"
        message = f"the {owner.kind} has {min(waiting, limit)} jobs in the queue, and may have {limit}{more}"
        raise QuotaExceeded(message, QUEUE_AGAIN_SECONDS)


def _waiting(session: Session, owner: _Owner) -> int:
    values = {"owner": owner.id, "number": owner.allowance.max_queued + 1}
    return int(session.scalar(WAITING[owner.kind], values) or 0)


def _used_ms(session: Session, owner: _Owner, start: datetime) -> int:
    return int(session.scalar(USED_MS[owner.kind], {"owner": owner.id, "start": start}) or 0)
