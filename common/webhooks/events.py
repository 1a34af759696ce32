"""Which events there are, when they happen, and what they say. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from common.job_states import Status
from common.models import BatchRow, JobRow


class EventType(StrEnum):
    """What an endpoint can ask for."""

    COMPLETED = "transcription.completed"
    FAILED = "transcription.failed"
    CANCELED = "transcription.canceled"
    PROGRESS = "transcription.progress"
    BATCH_COMPLETED = "batch.completed"


# Sent only when somebody presses the button for it.
TEST_EVENT = "webhook.test"
# Progress comes often, so it is for those who ask.
DEFAULT_EVENTS = (EventType.COMPLETED, EventType.FAILED, EventType.CANCELED, EventType.BATCH_COMPLETED)

# A queued job has no news.
EVENT_OF: dict[Status, EventType] = {
    Status.PROCESSING: EventType.PROGRESS,
    Status.COMPLETED: EventType.COMPLETED,
    Status.FAILED: EventType.FAILED,
    Status.CANCELED: EventType.CANCELED,
}


def wanted(event: EventType, asked: Sequence[str] | None) -> bool:
    """Whether a list of event types, or None for the default ones, holds this one."""
    return event in (DEFAULT_EVENTS if asked is None else asked)


def data_of(job: JobRow, public_id: str) -> dict[str, Any]:
    """What an event says of a job: enough to know where to look, and no word of the transcript."""
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


def batch_data_of(batch: BatchRow, public_id: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """What the end of a batch says: how many of its links came to what, as `GET /v1/batches/{id}` counts them."""
    told = {status.value: counts.get(status, 0) for status in Status}
    refused = len(batch.refused)
    return {
        "id": public_id,
        "status": "completed",
        "total": batch.total,
        "counts": {**told, "refused": refused, "deleted": batch.total - refused - sum(told.values())},
        "links": {
            "self": f"/v1/batches/{public_id}",
            "transcriptions": f"/v1/transcriptions?batch={public_id}",
        },
    }
