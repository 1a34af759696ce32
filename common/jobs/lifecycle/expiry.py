"""When the audio, the transcript and the rest of a job will be deleted: what `retention` does, told beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.jobs.job import Job
from common.settings import Settings


@dataclass(frozen=True, slots=True)
class Expiry:
    """The earliest times of deletion; None before the job has ended, and for what is not there or was deleted."""

    audio_at: datetime | None
    transcript_at: datetime | None
    job_at: datetime | None


def expiry_of(job: Job, settings: Settings) -> Expiry:
    """Return when a job's data are deleted if nobody retries it; a step of deletion runs every ten minutes."""
    if job.finished_at is None or not job.terminal:
        return Expiry(None, None, None)
    audio_at = job.finished_at + timedelta(hours=settings.audio_retention_hours)
    transcript_at = job.finished_at + timedelta(days=settings.result_retention_days)
    job_at = job.finished_at + timedelta(days=settings.job_retention_days)
    return Expiry(
        audio_at=audio_at if job.source.audio_key is not None else None,
        transcript_at=transcript_at if job.result_deleted_at is None else None,
        # The row goes last, and always has a transcript's time to wait for, even if nothing was recognised.
        job_at=max(job_at, transcript_at, audio_at if job.source.audio_key is not None else job_at),
    )
