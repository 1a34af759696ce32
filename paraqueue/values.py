"""What all values of the service have in common, and those that are parts of several others."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Value(BaseModel):
    """The base of all of them."""

    model_config = ConfigDict(frozen=True, extra="allow", protected_namespaces=())


class Failure(Value):
    """Why a transcription failed."""

    code: str
    message: str
    retryable: bool


class RecordingWarning(Value):
    """Something that a reader of the transcript must know; the times are None where it concerns all of the audio."""

    code: str
    message: str
    start_ms: int | None = None
    end_ms: int | None = None
