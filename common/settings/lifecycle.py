"""Settings of leases, dispatch, retries and retention of jobs."""

from __future__ import annotations

from pydantic import Field

from common.settings.types import Count, Seconds, SettingsGroup


class LeaseSettings(SettingsGroup):
    """Jobs"""

    lease_seconds: Seconds = Field(
        30, description="A job is requeued if its worker does not renew the lease for this long."
    )


class DispatchSettings(SettingsGroup):
    """Jobs"""

    redispatch_seconds: Seconds = Field(
        15, description="A queued job whose message nobody picked up is announced again after this time."
    )
    tenant_slot_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Largest share of a model's slots, but at least one slot, for a tenant while jobs of others wait, "
        "whatever their priorities. Of four slots or more, one stays free for a tenant that was served within the "
        "last 30 s. Running jobs are not interrupted. 1: priorities alone decide.",
    )


class RetrySettings(SettingsGroup):
    """Jobs"""

    max_attempts: Count = Field(
        5,
        description="Attempts since the last committed part before a retryable error becomes final; 100 for an "
        "outage of database, storage or disk.",
    )
    retry_base_seconds: Seconds = Field(
        5, description="Delay before the second attempt; doubles with each further one, up to 15 minutes."
    )


class RetentionSettings(SettingsGroup):
    """Retention"""

    upload_retention_hours: Seconds = Field(
        24, description="Resumable uploads not continued or used for this long are deleted."
    )
    audio_retention_hours: Seconds = Field(24, description="Audio is deleted this long after its job ended.")
    result_retention_days: Seconds = Field(30, description="Transcripts are deleted this long after the job ended.")
    job_retention_days: Seconds = Field(
        90,
        description="Jobs (file names, links, tags, attempts) and batches are deleted this long after the job ended, "
        "but not before audio and transcript.",
    )
    usage_retention_days: Seconds = Field(400, description="Usage records are deleted after this time.")
