"""The text of a transcription, in the requested format."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import Depends, Query, Request
from fastapi.responses import StreamingResponse

from api.auth.concurrency import TenantThreads
from api.deps import DatabaseDep, ReadCaller, v1_router
from api.http.error_responses import errors_of
from api.http.integers import AS_IN_JSON
from api.http.negotiation import chosen_format
from api.http.threads import in_thread
from api.transcriptions.routes import JobId
from api.transcriptions.transcript_schemas import TranscriptOut
from common import errors, jobs, summaries
from common.db import Database
from common.job_states import Status
from common.jobs import Job
from common.transcript.formats import MEDIA_TYPES, Format, encoded
from common.transcript.subtitles import SubtitleOptions
from common.transcript.values import SummaryText, Transcript

router = v1_router("/v1/transcriptions", "transcriptions")
FormatName = Literal["json", "txt", "srt", "vtt", "ass", "md", "csv", "docx"]
WRITE_BYTES = 64 * 1024
# The formats that contain the summary.
DOCUMENTS = (Format.MD, Format.DOCX)
# For the OpenAPI document
TEXT: dict[str, Any] = {"schema": {"type": "string"}}
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
FORMATS: dict[str, dict[str, Any]] = {
    media.partition(";")[0]: {} if form is Format.JSON else BINARY if form is Format.DOCX else TEXT
    for form, media in MEDIA_TYPES.items()
}
# Threads that make transcripts for one tenant at a time, each with a connection while it reads sentences.
RENDERING = TenantThreads(4)


def subtitle_options(
    max_chars: Annotated[
        int | None,
        Query(
            ge=6,
            le=100,
            description="Maximum characters per subtitle line. Default: 16 Chinese characters or 42 letters.",
        ),
    ] = None,
    max_lines: Annotated[int, Query(ge=1, le=2, description="Maximum lines of a subtitle."), AS_IN_JSON] = 1,
    max_seconds: Annotated[
        float, Query(ge=1, le=30, description="Maximum seconds for which a subtitle is shown, if it can be split.")
    ] = 7.0,
    speakers: Annotated[
        bool | None,
        Query(description="Whether subtitles, `txt`, `md` and `docx` name speakers or channels. Default: if known."),
    ] = None,
    times: Annotated[
        bool | None,
        Query(description="Whether `txt`, `md` and `docx` show times. Default: only `md` and `docx` do."),
    ] = None,
) -> SubtitleOptions:
    """Return the layout options of the formats that people read."""
    return SubtitleOptions(max_chars, max_lines, max_seconds, speakers, times)


@router.get(
    "/{transcription_id}/transcript",
    response_class=StreamingResponse,
    response_description="The transcript in the requested format.",
    responses={
        200: {"model": TranscriptOut, "content": FORMATS},
        **errors_of(errors.NotAcceptable, errors.NotReady, errors.NoTranscript, errors.Expired),
    },
)
def get_transcript(
    request: Request,
    database: DatabaseDep,
    caller: ReadCaller,
    job_id: JobId,
    options: Annotated[SubtitleOptions, Depends(subtitle_options)],
    form: Annotated[FormatName | None, Query(alias="format")] = None,
    partial: bool = False,
    text: Annotated[
        Literal["edited", "machine"], Query(description="`machine`: the recognised text without corrections.")
    ] = "edited",
) -> StreamingResponse:
    """The transcript with corrections, in the format given by `format` or the `Accept` header."""
    chosen = chosen_format(form, request.headers.get("accept"))
    job = jobs.readable(jobs.get(database, job_id, tenant=caller.tenant), partial=partial)
    pieces = file_of(database, job, chosen, options, machine=text == "machine")
    headers = {
        "Content-Disposition": _named(job, chosen.value),
        "Vary": "Accept",
        "X-Paraqueue-Model": job.result.model if job.result else job.model,
    }
    blocks = in_turns(pieces, caller.tenant)
    return StreamingResponse(blocks, headers=headers, media_type=MEDIA_TYPES[chosen])


def file_of(
    database: Database, job: Job, form: Format, options: SubtitleOptions, *, machine: bool = False
) -> Iterator[bytes]:
    """Yield the bytes of a transcript's file; `machine`: without corrections. Documents contain the summary."""
    summary = _summary_of(database, job) if form in DOCUMENTS else None
    head = replace(head_of(job), speakers=jobs.speakers(database, job), summary=summary)
    return encoded(form, head, jobs.sentences(database, job, machine=machine), options)


def _summary_of(database: Database, job: Job) -> SummaryText | None:
    summary = summaries.of_job(database, job.id)
    if summary is None:
        return None
    if summary.text is not None:
        return SummaryText(summary.text, summary.model or "", summary.stale, summary.truncated)
    old = summary.previous
    return SummaryText(old.text, old.model or "", old.stale, old.truncated) if old is not None else None


def _named(job: Job, ending: str) -> str:
    """Return a Content-Disposition with the recording's name, for clients that support non-ASCII file names."""
    name = quote(f"{job.stem}.{ending}", safe="")
    return f"inline; filename=\"{job.public_id}.{ending}\"; filename*=UTF-8''{name}"


def head_of(job: Job) -> Transcript:
    """Return the header of a transcript, which precedes its sentences."""
    result = job.result
    return Transcript(
        job_id=job.public_id,
        model=result.model if result else job.model,
        model_revision=result.revision if result else "",
        precision=result.precision if result else "",
        segmentation=result.segmentation if result else None,
        audio_ms=job.audio_ms or job.processed_ms,
        processing_ms=result.processing_ms if result else 0,
        channels=result.channels if result else 1,
        no_speech=result.no_speech if result else False,
        partial=job.status is not Status.COMPLETED,
        warnings=job.recording.warnings,
        name=job.shown_name,
        created_at=job.created_at,
    )


def _in_blocks(pieces: Iterable[str | bytes]) -> Iterator[bytes]:
    """Combine sentences into blocks: each write to the socket costs a thread switch."""
    block = bytearray()
    for piece in pieces:
        block += piece.encode() if isinstance(piece, str) else piece
        if len(block) >= WRITE_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


async def in_turns(pieces: Iterable[str | bytes], tenant: str) -> AsyncIterator[bytes]:
    """Make blocks in threads, few at a time for each tenant: however many transcripts one reads, others get threads."""
    blocks, turns = _in_blocks(pieces), RENDERING.of(tenant)
    while True:
        async with turns:
            block = await in_thread(next, blocks, None)
        if block is None:
            return
        yield block
