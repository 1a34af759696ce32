"""Which events there are, when they happen, and what they say. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from common.job_states import Status
from common.models import JobRow


class EventType(StrEnum):
    """What an endpoint can ask for."""

    COMPLETED = "transcription.completed"
    FAILED = "transcription.failed"
    CANCELED = "transcription.canceled"
    PROGRESS = "transcription.progress"


# Sent only when somebody presses the button for it.
TEST_EVENT = "webhook.test"
# Progress comes often, so it is for those who ask.
DEFAULT_EVENTS = (EventType.COMPLETED, EventType.FAILED, EventType.CANCELED)

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
        "processed_ms": job.processed_ms,
        "links": {"self": here, "transcript": f"{here}/transcript"},
    }
    if job.status == Status.FAILED:
        data["error"] = {"code": job.error_code, "retryable": bool(job.error_retryable)}
    return data
