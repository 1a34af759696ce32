"""Response models of usage."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field

from common import ids
from common.jobs import Usage

MILLISECONDS_PER_MINUTE = 60_000


class UsageOut(BaseModel):
    """Totals of the runs of one group; dimensions that were not grouped by are null."""

    tenant: str | None
    key_id: str | None
    key_name: str | None
    tag: str | None
    day: date | None
    model: str | None
    jobs: int = Field(description="Runs that ended; each retry of a job is a run.")
    completed: int
    failed: int
    canceled: int
    audio_minutes: float
    processing_seconds: float
    failures: dict[str, int] = Field(description="Failed runs by error code.")
    prompt_tokens: int = Field(description="Tokens that language models read for summaries; `model` is theirs.")
    completion_tokens: int = Field(description="Tokens that they wrote.")


class UsageList(BaseModel):
    """Usage by group."""

    start: datetime
    end: datetime
    data: list[UsageOut]


def usage_out(usage: Usage, key_name: str | None) -> UsageOut:
    """Convert usage to its API representation."""
    return UsageOut(
        tenant=usage.tenant,
        key_id=ids.shown(ids.KEY, usage.key_id) if usage.key_id else None,
        key_name=key_name,
        tag=usage.tag,
        day=usage.day,
        model=usage.model,
        jobs=usage.runs,
        completed=usage.completed,
        failed=usage.failed,
        canceled=usage.canceled,
        audio_minutes=round(usage.audio_ms / MILLISECONDS_PER_MINUTE, 3),
        processing_seconds=round(usage.processing_ms / 1000, 3),
        failures=dict(usage.failures),
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
    )
