"""The audio of a transcription in a format that browsers play, with range requests."""

from __future__ import annotations

import hashlib
import uuid
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import Response, StreamingResponse

from api.audio import sniffing
from api.audio.preparing import OF_RECORDINGS, Preparing, audio_key_of, deleted, preparing
from api.deps import DatabaseDep, QueueDep, ReadCaller, StorageDep, job_uuid, v1_router
from api.http import ranges
from api.http.negotiation import OCTETS, octets_wanted
from common import jobs, renditions
from common.errors import AudioNotDecodable, SourceNotFound
from common.jobs import Job
from common.storage import Storage
from common.transcript.recording import plays_on_its_clock

router = v1_router("/v1/transcriptions", "transcriptions")
RETRY_SECONDS = 2
RENDITION_TYPE = "audio/mpeg"
SUFFIXES = {
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/webm": "webm",
    "audio/flac": "flac",
    "audio/aac": "aac",
}
TYPES = {media: {"schema": {"type": "string", "format": "binary"}} for media in (*SUFFIXES, OCTETS)}


@router.get(
    "/{transcription_id}/audio",
    response_class=Response,
    response_description="The recording.",
    responses={
        200: {"content": TYPES},
        202: {
            "model": Preparing,
            "description": "Browsers cannot play the recording as it is; it is being converted. Repeat the request.",
        },
        206: {"content": TYPES, "description": "The requested range."},
        304: {"description": "The client's copy is current."},
        416: {"description": "The range starts after the end of the audio."},
        **OF_RECORDINGS,
    },
)
@router.head("/{transcription_id}/audio", response_class=Response, include_in_schema=False)
def get_audio(
    request: Request,
    database: DatabaseDep,
    storage: StorageDep,
    queue: QueueDep,
    caller: ReadCaller,
    job_id: Annotated[uuid.UUID, Depends(job_uuid)],
) -> Response:
    """The recording, converted to mp3 if browsers cannot play it, which takes a moment the first time.

    With `Accept: application/octet-stream` it has that media type.
    """
    job = jobs.get(database, job_id, tenant=caller.tenant)
    key = audio_key_of(job)
    # Serve a copy if players of the file would drift from the transcript's times, or play another track.
    on_clock = plays_on_its_clock(job.recording)
    try:
        media = _media_type(storage, key) if on_clock else None
        if media is None:
            rendition = renditions.ask(database, job.id, key)
            if rendition.status == renditions.FAILED:
                raise AudioNotDecodable(rendition.error_message or "the audio cannot be converted for playback")
            if rendition.key is None:
                return preparing(queue, RETRY_SECONDS)
            key, media = rendition.key, RENDITION_TYPE
        return _served(request, storage, key, OCTETS if octets_wanted(request.headers) else media, job, SUFFIXES[media])
    except SourceNotFound:
        raise deleted() from None


def _media_type(storage: Storage, key: str) -> str | None:
    return sniffing.media_type(lambda start, end: b"".join(storage.read(key, start, end)), storage.size(key))


def _served(request: Request, storage: Storage, key: str, media: str, job: Job, suffix: str) -> Response:
    size = storage.size(key)
    etag = f'"{hashlib.sha256(f"{key} {size}".encode()).hexdigest()[:32]}"'
    name = job.stem
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(f'{name}.{suffix}', safe='')}",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }
    if etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    span = None
    if request.headers.get("if-range", etag) == etag:
        try:
            span = ranges.asked_for(request.headers.get("range"), size)
        except ranges.Unsatisfiable:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    start, end = (span.start, span.end) if span is not None else (0, size)
    headers["Content-Length"] = str(end - start)
    if span is not None:
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    status = 200 if span is None else 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media)
    return StreamingResponse(storage.read(key, start, end), status, headers, media_type=media)
