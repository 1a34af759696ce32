"""Recordings in a format that browsers play, with range requests, for whoever may hear them."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from celery import Celery
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from api.audio import sniffing
from api.audio.preparing import OF_RECORDINGS, Preparing, audio_key_of, deleted, preparing
from api.http import ranges
from api.http.error_responses import Responses
from api.http.negotiation import OCTETS, octets_wanted
from common import renditions
from common.db import Database
from common.errors import AudioNotDecodable, SourceNotFound
from common.jobs import Job
from common.storage import Storage
from common.transcript.recording import plays_on_its_clock

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
RESPONSES: Responses = {
    200: {"content": TYPES},
    202: {
        "model": Preparing,
        "description": "Browsers cannot play the recording as it is; it is being converted. Repeat the request.",
    },
    206: {"content": TYPES, "description": "The requested range."},
    304: {"description": "The client's copy is current."},
    416: {"description": "The range starts after the end of the audio."},
    **OF_RECORDINGS,
}


def recording_of(
    request: Request, database: Database, storage: Storage, queue: Celery, job: Job, name: str
) -> Response:
    """Return the recording of a job, or a part of it, as a file with that name (without an ending).

    Raises Expired, NotReady, AudioNotDecodable.
    """
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
        shown = OCTETS if octets_wanted(request.headers) else media
        return _served(request, storage, key, shown, f"{name}.{SUFFIXES[media]}")
    except SourceNotFound:
        raise deleted() from None


def _media_type(storage: Storage, key: str) -> str | None:
    return sniffing.media_type(lambda start, end: b"".join(storage.read(key, start, end)), storage.size(key))


def _served(request: Request, storage: Storage, key: str, media: str, name: str) -> Response:
    size = storage.size(key)
    etag = f'"{hashlib.sha256(f"{key} {size}".encode()).hexdigest()[:32]}"'
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": etag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"inline; filename*=UTF-8''{quote(name, safe='')}",
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
