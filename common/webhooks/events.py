"""The webhook events, their triggers and their content. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Row

from common.job_states import Status
from common.models import BatchRow


class EventType(StrEnum):
    """The events that an endpoint can subscribe to."""

    COMPLETED = "transcription.completed"
    FAILED = "transcription.failed"
    CANCELED = "transcription.canceled"
    PROGRESS = "transcription.progress"
    SUMMARIZED = "transcription.summarized"
    BATCH_COMPLETED = "batch.completed"


# Sent only on request.
TEST_EVENT = "webhook.test"
# Progress events are frequent, and summaries are no ends of jobs, so both are sent only to subscribers.
DEFAULT_EVENTS = (EventType.COMPLETED, EventType.FAILED, EventType.CANCELED, EventType.BATCH_COMPLETED)

# A queued job has no event.
EVENT_OF: dict[Status, EventType] = {
    Status.PROCESSING: EventType.PROGRESS,
    Status.COMPLETED: EventType.COMPLETED,
    Status.FAILED: EventType.FAILED,
    Status.CANCELED: EventType.CANCELED,
}


def wanted(event: EventType, selected: Sequence[str] | None) -> bool:
    """Return whether a list of event types, or the default list for None, contains this event."""
    return event in (DEFAULT_EVENTS if selected is None else selected)


def data_of(job: Row[Any], public_id: str) -> dict[str, Any]:
    """Return the job data of an event: enough to find the job, and no transcript text."""
    here = f"/v1/transcriptions/{public_id}"
    data: dict[str, Any] = {
        "id": public_id,
        "status": job.status,
        "run": job.run,
        "tags": list(job.tags),
        "audio_ms": job.audio_ms,
        "warnings": job.warnings,
        "processed_ms": job.processed_ms,
        "links": {"self": here, "transcript": f"{here}/transcript"},
    }
    if job.status == Status.FAILED:
        data["error"] = {"code": job.error_code, "retryable": bool(job.error_retryable)}
    return data


def summary_data_of(job: Row[Any], public_id: str, status: Status, error_code: str | None) -> dict[str, Any]:
    """Return the data of the end of a summary: how it ended, and no text."""
    here = f"/v1/transcriptions/{public_id}"
    data: dict[str, Any] = {
        "id": public_id,
        "status": status.value,
        "tags": list(job.tags),
        "links": {"self": f"{here}/summary", "transcription": here},
    }
    if error_code is not None:
        data["error"] = {"code": error_code}
    return data


def batch_data_of(batch: BatchRow, public_id: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the data of the end of a batch: the number of jobs per outcome, as counted by `GET /v1/batches/{id}`."""
    by_status = {status.value: counts.get(status, 0) for status in Status}
    refused = len(batch.refused)
    return {
        "id": public_id,
        "status": "completed",
        "total": batch.total,
        "counts": {**by_status, "refused": refused, "deleted": batch.total - refused - sum(by_status.values())},
        "links": {
            "self": f"/v1/batches/{public_id}",
            "transcriptions": f"/v1/transcriptions?batch={public_id}",
        },
    }
