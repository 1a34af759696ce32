"""Job states and the transitions between them. Pure: no clock, no database."""

from __future__ import annotations

from enum import StrEnum


class Status(StrEnum):
    """The state of a job; the last three are terminal."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class Stage(StrEnum):
    """The current stage of a processing job."""

    FETCHING = "fetching"
    TRANSCRIBING = "transcribing"
    FINISHING = "finishing"


class Outcome(StrEnum):
    """How an attempt ended.

    A released or lost attempt is followed by another one; one that fetched the audio continues with its transcription.
    """

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    RETRYING = "retrying"
    RELEASED = "released"
    FETCHED = "fetched"
    LOST = "lost"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELED})

# `retry` is the only way out of a terminal state, and it starts a new run. A completed job keeps its transcript: to
# transcribe the audio again, submit a new job.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.PROCESSING, Status.CANCELED}),
    Status.PROCESSING: frozenset({Status.QUEUED, Status.COMPLETED, Status.FAILED, Status.CANCELED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset({Status.QUEUED}),
    Status.CANCELED: frozenset({Status.QUEUED}),
}


def sources_of(target: Status, *, retry: bool = False) -> frozenset[Status]:
    """Return the states from which `target` can be reached; terminal states are included only with `retry`."""
    return frozenset(
        source for source, targets in TRANSITIONS.items() if target in targets and (source in TERMINAL) == retry
    )
