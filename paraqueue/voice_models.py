"""Known voices, as frozen values."""

from __future__ import annotations

from datetime import datetime

from paraqueue.values import Value


class Consent(Value):
    """What was stated of a person's consent, when, and with which API key."""

    statement: str
    recorded_at: datetime
    recorded_by: str | None = None


class VoiceSample(Value):
    """A speaker from whom a voice was enrolled; the transcription may be deleted by now."""

    transcription_id: str
    speaker: int
    speech_ms: int
    speaker_model: str
    enrolled_at: datetime
    enrolled_by: str | None = None


class Voice(Value):
    """A known voice; with `needs_enrolment` it is not recognised until it is enrolled again."""

    id: str
    name: str
    consent: Consent
    samples: tuple[VoiceSample, ...] = ()
    needs_enrolment: bool = False
    created_at: datetime
    updated_at: datetime

    @property
    def speech_ms(self) -> int:
        """The speech of all samples."""
        return sum(sample.speech_ms for sample in self.samples)


class VoicePage(Value):
    """A page of known voices, newest first; `enabled` says whether voices are recognised at all."""

    data: tuple[Voice, ...]
    next: str | None = None
    enabled: bool = False
