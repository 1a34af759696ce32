"""Settings of leases, dispatch, retries and retention of jobs."""

from __future__ import annotations

from pydantic import Field

from common.settings.types import Count, Seconds, SettingsGroup


class LeaseSettings(SettingsGroup):
    """Leases"""

    lease_seconds: Seconds = Field(
        30, description="Lease duration: a job is requeued if its worker does not renew the lease for this long."
    )
    renew_seconds: Seconds = Field(1, description="Interval at which a worker renews its leases.")


class DispatchSettings(SettingsGroup):
    """Dispatch"""

    redispatch_seconds: Seconds = Field(
        15, description="A queued job whose message was not picked up is announced again after this time."
    )


class RetrySettings(SettingsGroup):
    """Retries"""

    max_attempts: Count = Field(5, description="Attempts per run before a retryable error becomes final.")
    max_outage_attempts: Count = Field(
        100,
        description="The same limit for errors of the service's own storage or database. With delays of at most "
        "15 minutes, 100 attempts cover most of a day.",
    )
    retry_base_seconds: Seconds = Field(
        5, description="Delay before the second attempt; doubles with each further attempt."
    )
    retry_max_seconds: Seconds = Field(900, description="Maximum delay between two attempts.")


class RetentionSettings(SettingsGroup):
    """Retention"""

    upload_retention_hours: Seconds = Field(
        24, description="Resumable uploads that are not continued or used within this time are deleted."
    )
    audio_retention_hours: Seconds = Field(24, description="Audio is deleted this long after its job ended.")
    result_retention_days: Seconds = Field(30, description="Transcripts are deleted this long after the job ended.")
    job_retention_days: Seconds = Field(
        90,
        description="Jobs (file names, links, tags, attempts) and batches are deleted this long after the job ended, "
        "but not before their audio and transcript.",
    )
    usage_retention_days: Seconds = Field(
        400, description="Usage records are deleted after this time; the default covers a year and a month."
    )
