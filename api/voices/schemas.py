"""Requests and responses about known voices. Voice prints are in none of them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from api.http.bodies import StrictBody
from api.transcriptions.sentences import one_line
from api.transcriptions.speakers import LAST_SPEAKER, LONGEST_NAME
from common import ids
from common.voices import Sample, Voice

Name = Annotated[
    str,
    StringConstraints(max_length=LONGEST_NAME),
    AfterValidator(lambda value: one_line(value, if_empty="is empty")),
    Field(description="Unique among the tenant's voices. White space becomes single spaces.", examples=["王芳"]),
]
Consent = Annotated[
    str,
    StringConstraints(min_length=1, max_length=1000, strip_whitespace=True, pattern=r"^[^\x00]+$"),
    Field(
        description="How and when the person agreed that the voice is kept and recognised. Noted with your API key and "
        "the time.",
        examples=["Agreed in writing on 2026-11-20, form 17."],
    ),
]


class VoiceSource(StrictBody):
    """A speaker of a completed transcription."""

    transcription_id: str = Field(max_length=64, examples=["tr_0198a3c27d1e7f0a8c5b2d4e6f708192"])
    speaker: int = Field(ge=1, le=LAST_SPEAKER, strict=True, description="The speaker's number.")


class VoiceCreate(VoiceSource):
    """A voice to enrol."""

    name: Name
    consent: Consent


class VoiceUpdate(StrictBody):
    """The new name of a voice."""

    name: Name


class ConsentOut(BaseModel):
    """What was stated about the person's consent, when, and by whom."""

    statement: str
    recorded_at: datetime
    recorded_by: str | None = Field(description="Id of the API key; null for a JSON Web Token.")


class VoiceSampleOut(BaseModel):
    """A speaker from whom the voice was enrolled."""

    transcription_id: str = Field(description="The transcription may be deleted by now.")
    speaker: int
    speech_ms: int = Field(description="Speech that the voice print rests on.")
    speaker_model: str
    enrolled_at: datetime
    enrolled_by: str | None = Field(description="Id of the API key.")


class VoiceOut(BaseModel):
    """A known voice."""

    id: str
    object: Literal["voice"] = "voice"
    name: str
    consent: ConsentOut
    samples: list[VoiceSampleOut] = Field(description="The oldest first.")
    needs_enrolment: bool = Field(
        description="Whether it is not recognised until it is enrolled again, because the service now has another "
        "speaker model."
    )
    created_at: datetime
    updated_at: datetime


class VoiceList(BaseModel):
    """Some known voices, newest first."""

    data: list[VoiceOut]
    next: str | None = Field(description="Value of `after` for the next page; null on the last page.")
    enabled: bool = Field(
        description="Whether voices are recognised: both the installation and the tenant keep prints."
    )


def voice_out(voice: Voice, models: Collection[str]) -> VoiceOut:
    """Convert a voice to its API representation; `models` are the speaker models that are in use."""
    return VoiceOut(
        id=voice.public_id,
        name=voice.name,
        consent=ConsentOut(
            statement=voice.consent,
            recorded_at=voice.created_at,
            recorded_by=None if voice.made_by is None else ids.shown(ids.KEY, voice.made_by),
        ),
        samples=[_sample_out(sample) for sample in voice.samples],
        needs_enrolment=voice.needs_enrolment(models),
        created_at=voice.created_at,
        updated_at=voice.updated_at,
    )


def _sample_out(sample: Sample) -> VoiceSampleOut:
    return VoiceSampleOut(
        transcription_id=ids.shown(ids.JOB, sample.job_id),
        speaker=sample.speaker,
        speech_ms=sample.speech_ms,
        speaker_model=sample.model,
        enrolled_at=sample.enrolled_at,
        enrolled_by=None if sample.enrolled_by is None else ids.shown(ids.KEY, sample.enrolled_by),
    )
