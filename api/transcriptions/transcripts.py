"""The text of a transcription, in the form that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse

from api.deps import ReadCaller, ServiceDep, v1_router
from api.http.negotiation import chosen_format
from api.transcriptions.routes import JobId
from common import jobs
from common.job_states import Status
from common.jobs import Job
from common.transcript.formats import MEDIA_TYPES, render
from common.transcript.subtitles import SubtitleOptions
from common.transcript.values import Transcript

router = v1_router("/v1/transcriptions", "transcriptions")
WRITE_BYTES = 64 * 1024


def subtitle_options(
    max_chars: Annotated[
        int | None, Query(ge=6, le=100, description="Of a line of subtitles; unset: 16 Chinese characters, 42 letters.")
    ] = None,
    max_lines: Annotated[int, Query(ge=1, le=2, description="Of a subtitle.")] = 1,
    max_seconds: Annotated[float, Query(ge=1, le=30, description="That a subtitle stands, if it can be broken.")] = 7.0,
    speakers: Annotated[
        bool | None, Query(description="Whether subtitles name their channel; unset: where there are several.")
    ] = None,
) -> SubtitleOptions:
    """How srt, vtt and ass are to look."""
    return SubtitleOptions(max_chars, max_lines, max_seconds, speakers)


@router.get(
    "/{transcription_id}/transcript",
    response_class=StreamingResponse,
    responses={200: {"content": {media.partition(";")[0]: {} for media in MEDIA_TYPES.values()}}},
)
def get_transcript(
    request: Request,
    service: ServiceDep,
    caller: ReadCaller,
    job_id: JobId,
    options: Annotated[SubtitleOptions, Depends(subtitle_options)],
    form: Annotated[Literal["json", "txt", "srt", "vtt", "ass"] | None, Query(alias="format")] = None,
    partial: bool = False,
    text: Annotated[
        Literal["edited", "machine"], Query(description="`machine`: without what people corrected.")
    ] = "edited",
) -> StreamingResponse:
    """The transcript, in the form that `format` or the `Accept` header asks for, as people corrected it."""
    chosen = chosen_format(form, request.headers.get("accept"))
    job = jobs.readable(jobs.get(service.database, job_id, tenant=caller.tenant), partial=partial)
    sentences = jobs.sentences(service.database, job, machine=text == "machine")
    pieces = render(chosen, head_of(job), sentences, options)
    headers = {
        "Content-Disposition": _named(job, chosen.value),
        "Vary": "Accept",
        "X-Paraqueue-Model": job.result.model if job.result else job.model,
    }
    return StreamingResponse(in_blocks(pieces), headers=headers, media_type=MEDIA_TYPES[chosen])


def _named(job: Job, ending: str) -> str:
    """For who keeps it: by the name of the recording, where the client reads names that are not ASCII."""
    name = quote(f"{(job.source.name or '').rpartition('.')[0] or job.public_id}.{ending}", safe="")
    return f"inline; filename=\"{job.public_id}.{ending}\"; filename*=UTF-8''{name}"


def head_of(job: Job) -> Transcript:
    """What a transcript says of itself before its sentences."""
    result = job.result
    return Transcript(
        job_id=job.public_id,
        model=result.model if result else job.model,
        model_revision=result.revision if result else "",
        precision=result.precision if result else "",
        audio_ms=job.audio_ms or job.processed_ms,
        processing_ms=result.processing_ms if result else 0,
        channels=result.channels if result else 1,
        no_speech=result.no_speech if result else False,
        partial=job.status is not Status.COMPLETED,
        warnings=job.recording.warnings,
    )


def in_blocks(pieces: Iterator[str]) -> Iterator[bytes]:
    """Sentences gathered into blocks: each write to the socket costs a switch of threads."""
    block = bytearray()
    for piece in pieces:
        block += piece.encode()
        if len(block) >= WRITE_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)
