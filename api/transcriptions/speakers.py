"""The speakers of a transcript: list, name and merge them, and assign sentences to them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from api.deps import DatabaseDep, ReadCaller, SubmitAndReadCaller, v1_router
from api.http.error_responses import errors_of
from api.http.integers import AS_IN_JSON
from api.transcriptions.routes import JobId
from api.transcriptions.sentences import Number, one_line
from api.transcriptions.transcript_schemas import SentenceOut, SpeakerOut
from common import errors, jobs
from common.errors import NoSpeakers
from common.transcript.formats import sentence_object, speakers_json
from common.transcript.values import Speaker

router = v1_router("/v1/transcriptions", "transcriptions")
LAST_SPEAKER = 32_767
LONGEST_NAME = 80
OF_CHANGES = errors_of(errors.NoSpeakers, errors.NotReady, errors.NoTranscript, errors.Expired)
OF_SENTENCES = errors_of(errors.NoSpeakers, errors.EditConflict, errors.NotReady, errors.NoTranscript, errors.Expired)

Name = Annotated[
    str,
    StringConstraints(max_length=LONGEST_NAME),
    AfterValidator(lambda value: one_line(value, if_empty="is empty; null removes the name")),
]


class SpeakerName(BaseModel):
    """The name of a speaker."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = Field(description="White space becomes single spaces. Null removes the name.")


class SpeakerMerge(BaseModel):
    """The speaker with whom another one is merged."""

    model_config = ConfigDict(extra="forbid")

    into: int = Field(ge=1, le=LAST_SPEAKER, strict=True, description="The number of the speaker that remains.")


class SentenceSpeaker(BaseModel):
    """The speaker of a sentence."""

    model_config = ConfigDict(extra="forbid")

    speaker: int = Field(ge=1, le=LAST_SPEAKER, strict=True, description="The number of a speaker of the transcript.")


class SpeakerList(BaseModel):
    """The speakers of a transcript, by number."""

    object: Literal["list"] = "list"
    data: list[SpeakerOut]


SpeakerNumber = Annotated[int, Path(ge=1, le=LAST_SPEAKER, description="The speaker's number, from 1."), AS_IN_JSON]


@router.get(
    "/{transcription_id}/speakers", response_model=SpeakerList, responses=errors_of(errors.NoSpeakers, errors.Expired)
)
def list_speakers(database: DatabaseDep, caller: ReadCaller, job_id: JobId) -> JSONResponse:
    """The speakers of a transcription; empty until it ends."""
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=True)
    speakers = jobs.speakers(database, job)
    if speakers is None:
        raise NoSpeakers(f"{job.public_id} was submitted without speaker diarization")
    return _listed(speakers)


@router.patch("/{transcription_id}/speakers/{speaker}", response_model=SpeakerList, responses=OF_CHANGES)
def name_speaker(
    database: DatabaseDep, caller: SubmitAndReadCaller, job_id: JobId, speaker: SpeakerNumber, change: SpeakerName
) -> JSONResponse:
    """Name a speaker. The name appears in all formats and in search results."""
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=False)
    return _listed(jobs.name_speaker(database, job, speaker, change.name))


@router.post("/{transcription_id}/speakers/{speaker}/merge", response_model=SpeakerList, responses=OF_CHANGES)
def merge_speaker(
    database: DatabaseDep, caller: SubmitAndReadCaller, job_id: JobId, speaker: SpeakerNumber, change: SpeakerMerge
) -> JSONResponse:
    """Merge a speaker into another, if one person was taken for two: all sentences move, and the first is removed."""
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=False)
    return _listed(jobs.merge_speakers(database, job, speaker, change.into))


@router.put("/{transcription_id}/sentences/{number}/speaker", response_model=SentenceOut, responses=OF_SENTENCES)
def assign_sentence(
    database: DatabaseDep, caller: SubmitAndReadCaller, job_id: JobId, number: Number, change: SentenceSpeaker
) -> JSONResponse:
    """Assign a sentence to another speaker."""
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=False)
    sentence = jobs.assign_sentence(database, job, number, change.speaker)
    return JSONResponse(sentence_object(sentence))


def _listed(speakers: tuple[Speaker, ...]) -> JSONResponse:
    return JSONResponse({"object": "list", "data": speakers_json(speakers)})
