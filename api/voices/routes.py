"""Known voices: enrol, list, read, rename, delete."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Request, Response

from api.auth.callers import Caller
from api.deps import DatabaseDep, ReadCaller, SettingsDep, SubmitAndReadCaller, public_url, v1_router
from api.http.error_responses import errors_of
from api.http.paging import After, Limit
from api.voices.schemas import VoiceCreate, VoiceList, VoiceOut, VoiceSource, VoiceUpdate, voice_out
from common import errors, ids, jobs, voices
from common.db import Database
from common.errors import NoSpeakers, VoicesOff
from common.settings import Settings
from common.voices import Source

router = v1_router("/v1/voices", "voices")
OF_SOURCES = (errors.NoSpeakers, errors.NotReady, errors.NoTranscript, errors.Expired)
OF_ENROLMENT = (errors.VoicesOff, errors.NoVoicePrint, errors.TooManyVoices, *OF_SOURCES)


async def voice_uuid(voice_id: str) -> uuid.UUID:
    """Return the UUID of a voice id in a path. Raises NotFound if it is not a valid voice id."""
    return ids.parsed(ids.VOICE, voice_id)


VoiceId = Annotated[uuid.UUID, Depends(voice_uuid)]


@router.post("", status_code=201, responses=errors_of(errors.NotFound, *OF_ENROLMENT, errors.VoiceNameTaken))
def create_voice(
    request: Request,
    response: Response,
    database: DatabaseDep,
    settings: SettingsDep,
    caller: SubmitAndReadCaller,
    body: VoiceCreate,
) -> VoiceOut:
    """Enrol a speaker of a transcription as a known voice: later transcriptions with `speakers` name it.

    A voice print is biometric data: enrol only people who agreed. The speaker gets the name if it has none.
    """
    source = _source(database, settings, caller, body)
    voice = voices.create(database, source, name=body.name, consent=body.consent)
    response.headers["Location"] = f"{public_url(request)}/v1/voices/{voice.public_id}"
    return voice_out(voice, jobs.speaker_models(database))


@router.get("")
def list_voices(
    database: DatabaseDep,
    settings: SettingsDep,
    caller: ReadCaller,
    after: After = None,
    limit: Limit = 20,
) -> VoiceList:
    """A page of known voices, newest first, and whether voices are switched on."""
    page = voices.page(database, tenant=caller.tenant, after=after, limit=limit)
    models = jobs.speaker_models(database)
    return VoiceList(
        data=[voice_out(voice, models) for voice in page.voices],
        next=page.next_cursor,
        enabled=settings.voices == "on" and voices.permitted(database, caller.tenant),
    )


@router.get("/{voice_id}")
def get_voice(database: DatabaseDep, caller: ReadCaller, voice: VoiceId) -> VoiceOut:
    """A known voice."""
    return voice_out(voices.get(database, voice, tenant=caller.tenant), jobs.speaker_models(database))


@router.post("/{voice_id}/samples", responses=errors_of(*OF_ENROLMENT))
def add_voice_sample(
    database: DatabaseDep, settings: SettingsDep, caller: SubmitAndReadCaller, voice: VoiceId, body: VoiceSource
) -> VoiceOut:
    """Enrol more speech of the same person, such as on the telephone, or with a new speaker model."""
    source = _source(database, settings, caller, body)
    return voice_out(voices.enrol(database, voice, source), jobs.speaker_models(database))


@router.patch("/{voice_id}", responses=errors_of(errors.VoiceNameTaken))
def rename_voice(database: DatabaseDep, caller: SubmitAndReadCaller, voice: VoiceId, body: VoiceUpdate) -> VoiceOut:
    """Rename a voice. Names that transcripts already have stay."""
    renamed = voices.rename(database, voice, body.name, tenant=caller.tenant)
    return voice_out(renamed, jobs.speaker_models(database))


@router.delete("/{voice_id}", status_code=204, response_class=Response)
def delete_voice(database: DatabaseDep, caller: SubmitAndReadCaller, voice: VoiceId) -> None:
    """Delete a voice and all its voice prints, at once. Names that transcripts already have stay."""
    voices.remove(database, voice, tenant=caller.tenant)


def _source(database: Database, settings: Settings, caller: Caller, body: VoiceSource) -> Source:
    """Return the speaker to enrol. Raises VoicesOff, NotFound, NoSpeakers, and errors of unfinished transcriptions."""
    if settings.voices == "off":
        raise VoicesOff("known voices are switched off for this installation")
    job_id = ids.parsed(ids.JOB, body.transcription_id)
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=False)
    if not job.options.speakers:
        raise NoSpeakers(f"{job.public_id} was submitted without speaker diarization")
    return Source(job.id, job.run, body.speaker, caller.tenant, caller.key_id)
