"""Known voices as frozen values, without their voice prints: those never leave the service."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from common import ids


@dataclass(frozen=True, slots=True)
class Sample:
    """Speech from which a voice was enrolled: a speaker of a transcription, which may be deleted by now."""

    job_id: uuid.UUID
    speaker: int
    model: str
    speech_ms: int
    enrolled_at: datetime
    enrolled_by: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class Voice:
    """A known voice. `consent` is what the key `made_by` stated when it was created; samples are oldest first."""

    id: uuid.UUID
    created_at: datetime
    updated_at: datetime
    name: str
    consent: str
    made_by: uuid.UUID | None
    samples: tuple[Sample, ...]

    @property
    def public_id(self) -> str:
        """The public id of the voice."""
        return ids.shown(ids.VOICE, self.id)

    def needs_enrolment(self, models: Collection[str]) -> bool:
        """Whether none of its samples can be compared by any of these speaker models, if there are some."""
        return bool(models) and not any(sample.model in models for sample in self.samples)


@dataclass(frozen=True, slots=True)
class VoicePage:
    """A page of voices, newest first, and the cursor of the next page; None if this is the last page."""

    voices: tuple[Voice, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """A speaker of a completed run to enrol, and the API key that asks for it."""

    job_id: uuid.UUID
    run: int
    speaker: int
    tenant: str
    key_id: uuid.UUID | None

    def __str__(self) -> str:
        return f"speaker {self.speaker} of {ids.shown(ids.JOB, self.job_id)}"
