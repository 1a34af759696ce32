"""What visitors read with a share link: one transcript and, if it is shared too, its recording.

A response contains only what is listed here: no words, which would show what corrections and masks replaced, no ids of
the transcription or of keys, and nothing of how it was submitted.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from api.audio import peaks, serving
from api.auth.visitors import PATHS, put_cookie, unknown
from api.auth.visitors import room_of as visitors_room
from api.deps import DatabaseDep, QueueDep, StorageDep, VisitDep, public_url, v1_router
from api.http.error_responses import errors_of
from api.http.integers import AS_IN_JSON
from api.http.threads import in_thread
from api.shares.schemas import SharedOut, SharedSentenceOut, SharedSentencePage
from api.transcriptions.transcripts import head_of, in_turns, subtitle_options
from common import errors, jobs, shares
from common.db import Database
from common.errors import AudioNotDecodable
from common.jobs import Job
from common.shares import Visit
from common.transcript.formats import MEDIA_TYPES, Format, encoded, speakers_json
from common.transcript.recording import warnings_json
from common.transcript.sentence_numbers import LAST_NUMBER
from common.transcript.subtitles import SubtitleOptions
from common.transcript.values import Transcript

router = v1_router(PATHS, "shares")
FormatName = Literal["txt", "srt", "vtt", "md", "docx"]
UNNAMED = "transcript"
# How often it is checked whether the link of a response that is being sent still works.
CHECK_SECONDS = 5.0
CONTENT: dict[str, Any] = {
    MEDIA_TYPES[Format(name)].partition(";")[0]: {"schema": {"type": "string"}}
    | ({} if name != "docx" else {"schema": {"type": "string", "format": "binary"}})
    for name in ("txt", "srt", "vtt", "md", "docx")
}
OF_LINKS = errors_of(errors.NotFound)
# What a transcript that ended after its link was checked raises; visitors learn no more than that the link is over.
GONE = (errors.NotFound, errors.Expired, errors.NotReady, errors.NoTranscript)


@router.get("", response_model=SharedOut, responses=OF_LINKS)
def get_shared(request: Request, response: Response, database: DatabaseDep, visit: VisitDep) -> SharedOut:
    """The transcript that a link shows, without its sentences. This call counts as a view.

    It sets a cookie with which a browser can play the recording, if that is shared.
    """
    job = _job(database, visit)
    shares.count_view(database, visit.share_id)
    speakers = jobs.speakers(database, job)
    head = _head(job)
    audio = visit.audio and job.source.audio_key is not None
    if audio:
        put_cookie(request, response, visit, public_url(request))
    return SharedOut.model_validate(
        {
            "id": visit.public_id,
            "name": job.shown_name,
            "audio_ms": head.audio_ms,
            "channels": head.channels,
            "no_speech": head.no_speech,
            "warnings": warnings_json(head.warnings),
            "speakers": None if speakers is None else speakers_json(speakers),
            "audio": audio,
            "expires_at": visit.expires_at,
        }
    )


@router.get("/sentences", response_model=SharedSentencePage, responses=OF_LINKS)
def list_shared_sentences(
    database: DatabaseDep,
    visit: VisitDep,
    after: Annotated[
        int, Query(ge=-1, le=LAST_NUMBER, description="Number of the last sentence that was read."), AS_IN_JSON
    ] = -1,
    limit: Annotated[int, Query(ge=1, le=1000), AS_IN_JSON] = 200,
) -> SharedSentencePage:
    """A page of the sentences that a link shows, as people corrected them."""
    job = _job(database, visit)
    found = jobs.sentences_after(database, job, after, limit=limit + 1, edited_words=False)
    data = [
        SharedSentenceOut(
            number=item.number,
            text=item.text,
            start_ms=item.start_ms,
            end_ms=item.end_ms,
            channel=item.channel,
            speaker=item.speaker,
        )
        for item in found[:limit]
        if item.number is not None
    ]
    return SharedSentencePage(data=data, next=data[-1].number if len(found) > limit else None)


@router.get(
    "/transcript",
    response_class=StreamingResponse,
    response_description="The transcript in the requested format.",
    responses={200: {"content": CONTENT}, **OF_LINKS},
)
def get_shared_transcript(
    database: DatabaseDep,
    visit: VisitDep,
    options: Annotated[SubtitleOptions, Depends(subtitle_options)],
    form: Annotated[FormatName, Query(alias="format")] = "txt",
) -> StreamingResponse:
    """The transcript that a link shows, as a file."""
    job, chosen = _job(database, visit), Format(form)
    head = replace(_head(job), speakers=jobs.speakers(database, job))
    pieces = encoded(chosen, head, jobs.sentences(database, job), options)
    name = quote(f"{_stem(job)}.{form}", safe="")
    disposition = f"inline; filename=\"{UNNAMED}.{form}\"; filename*=UTF-8''{name}"
    blocks = _while_it_works(database, visit, in_turns(pieces, visitors_room(visit)))
    return StreamingResponse(blocks, headers={"Content-Disposition": disposition}, media_type=MEDIA_TYPES[chosen])


@router.get(
    "/{share_id}/audio",
    response_class=Response,
    response_description="The recording.",
    responses={**serving.RESPONSES, **OF_LINKS},
)
@router.head("/{share_id}/audio", response_class=Response, include_in_schema=False)
def get_shared_audio(
    request: Request, database: DatabaseDep, storage: StorageDep, queue: QueueDep, visit: VisitDep, share_id: str
) -> Response:
    """The recording, if it is shared; with the token in a header or in the cookie of a browser."""
    job = _heard(database, visit, share_id)
    with _told_in_general():
        response = serving.recording_of(request, database, storage, queue, job, _stem(job))
    if isinstance(response, StreamingResponse):
        response.body_iterator = _while_it_works(database, visit, response.body_iterator)
    return response


@router.get("/{share_id}/peaks", response_model=peaks.PeaksOut, responses={**peaks.RESPONSES, **OF_LINKS})
def get_shared_peaks(
    database: DatabaseDep,
    storage: StorageDep,
    queue: QueueDep,
    visit: VisitDep,
    share_id: str,
    points: peaks.Points = 2000,
) -> Response:
    """The waveform of the recording, if that is shared."""
    job = _heard(database, visit, share_id)
    with _told_in_general():
        return peaks.waveform_of(database, queue, storage, job, points)


def _job(database: Database, visit: Visit) -> Job:
    """Return the job of a link. Raises NotFound, as for a link that does not work."""
    try:
        return jobs.readable(jobs.get(database, visit.job_id, tenant=visit.tenant), partial=False)
    except GONE:
        raise unknown() from None


def _heard(database: Database, visit: Visit, share_id: str) -> Job:
    if not visit.audio or share_id != visit.public_id:
        raise unknown()
    return _job(database, visit)


async def _while_it_works(database: Database, visit: Visit, blocks: AsyncIterable[Any]) -> AsyncIterator[Any]:
    """Yield blocks of a response, and break off once the link is over: a player reads a recording for hours."""
    checked_at = time.monotonic()
    async for block in blocks:
        if time.monotonic() - checked_at >= CHECK_SECONDS:
            if not await in_thread(shares.works, database, visit):
                raise unknown()
            checked_at = time.monotonic()
        yield block


@contextmanager
def _told_in_general() -> Iterator[None]:
    """Keep a decoder's own messages from visitors."""
    try:
        yield
    except AudioNotDecodable:
        raise AudioNotDecodable("the recording cannot be played") from None


def _head(job: Job) -> Transcript:
    """Return the header of the transcript for people outside: without ids, date and model."""
    return replace(head_of(job), job_id=job.shown_name or UNNAMED, model="", created_at=None)


def _stem(job: Job) -> str:
    return job.stem if job.shown_name else UNNAMED
