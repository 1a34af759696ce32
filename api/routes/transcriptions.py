"""Transcriptions: submit, look, read, cancel, retry, delete."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from api.deps import Service, ServiceDep, job_uuid, public_url
from api.multipart import FORM_SLACK_BYTES, Form, read_form
from api.negotiation import chosen_format
from api.schemas import (
    Options,
    SubmitLink,
    Transcription,
    TranscriptionDetail,
    TranscriptionPage,
    detail_of,
    transcription_of,
)
from common import ids, jobs
from common.errors import InvalidRequest, UnknownModel, UploadTooLarge, WebhooksNotConfigured
from common.formats import MEDIA_TYPES, render
from common.job_states import Status
from common.jobs import Job, Submission
from common.transcript import Transcript

router = APIRouter(prefix="/v1/transcriptions", tags=["transcriptions"])
JobId = Annotated[uuid.UUID, Depends(job_uuid)]
POLL_SECONDS = "2"
# Notifications are hints: a waiting request also looks by itself.
LOOK_AGAIN_SECONDS = 10.0
JSON_BYTES = 256 * 1024
WRITE_BYTES = 64 * 1024
LIST_FIELDS = {"tags", "webhook_events"}

SUBMIT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": SubmitLink.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        **Options.model_json_schema()["properties"],
                    },
                }
            },
        },
    }
}


@router.post("", status_code=202, openapi_extra=SUBMIT_BODY)
async def submit(request: Request, response: Response, service: ServiceDep) -> Transcription:
    """Submit audio: a multipart form with `file`, or JSON with `audio_url`. The answer comes at once."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        submission = await _linked(request, service)
    else:
        submission = await _uploaded(request, service)
    job = await run_in_threadpool(jobs.submit, service.database, submission)
    service.dispatcher.wake()
    shown = transcription_of(job, public_url(request, service))
    response.headers["Location"] = shown.links.self
    response.headers["Retry-After"] = POLL_SECONDS
    return shown


async def _linked(request: Request, service: Service) -> Submission:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > JSON_BYTES:
            raise UploadTooLarge(f"a JSON body has at most {JSON_BYTES} bytes")
    try:
        asked = SubmitLink.model_validate_json(bytes(body))
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None
    _check_webhook(service, asked)
    return Submission(
        id=ids.new_id(),
        model=await _known_model(service, asked.model),
        channels=asked.channels,
        priority=asked.priority,
        tags=tuple(asked.tags),
        webhook_url=asked.webhook_url,
        webhook_events=tuple(asked.webhook_events) if asked.webhook_events is not None else None,
        source_kind=asked.audio_url.partition(":")[0],
        url=asked.audio_url,
        name=asked.audio_url.partition("?")[0].rpartition("/")[2][:255] or None,
    )


async def _uploaded(request: Request, service: Service) -> Submission:
    limit = service.settings.max_upload_bytes
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit + FORM_SLACK_BYTES:
        raise UploadTooLarge(f"the file is larger than the limit of {limit} bytes")
    job_id = ids.new_id()
    key = f"{jobs.audio_prefix(job_id)}upload"
    content_type = request.headers.get("content-type", "")
    writer = await run_in_threadpool(service.storage.writer, key)
    try:
        form = await read_form(content_type, request.stream(), writer, max_bytes=limit)
        asked = _options(form)
        _check_webhook(service, asked)
        model = await _known_model(service, asked.model)
    except BaseException:
        await run_in_threadpool(writer.abort)
        await run_in_threadpool(service.storage.delete, key)
        raise
    assert form.stored is not None
    return Submission(
        id=job_id,
        model=model,
        channels=asked.channels,
        priority=asked.priority,
        tags=tuple(asked.tags),
        webhook_url=asked.webhook_url,
        webhook_events=tuple(asked.webhook_events) if asked.webhook_events is not None else None,
        source_kind="upload",
        name=form.file_name,
        audio_key=key,
        audio_bytes=form.stored.size,
        audio_sha256=form.stored.sha256,
    )


def _options(form: Form) -> Options:
    """The fields of a form: those that are lists may come several times, or separated by commas."""
    told: dict[str, Any] = {}
    for name, value in form.fields:
        if name in LIST_FIELDS:
            told.setdefault(name, []).extend(item.strip() for item in value.split(",") if item.strip())
        elif name in told:
            raise InvalidRequest(f"the form has more than one field {name!r}")
        else:
            told[name] = value
    try:
        return Options.model_validate(told)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_context=False)) from None


def _check_webhook(service: Service, asked: Options) -> None:
    if asked.webhook_events is not None and asked.webhook_url is None:
        raise InvalidRequest("`webhook_events` is for `webhook_url`, which is missing")
    if asked.webhook_url is not None and not service.settings.webhook_secrets:
        raise WebhooksNotConfigured(
            "this installation has no secret to sign webhooks with, and sends none unsigned: set "
            "PARAQUEUE_WEBHOOK_SECRET for the API and the light worker"
        )


async def _known_model(service: Service, asked: str | None) -> str:
    default = service.settings.model
    if asked is None or asked == default:
        return default
    workers = await run_in_threadpool(jobs.live_workers, service.database)
    served = {default, *(worker.model for worker in workers)}
    if asked not in served:
        raise UnknownModel(f"there is no model {asked!r} here; there is: {', '.join(sorted(served))}")
    return asked


@router.get("")
def list_transcriptions(
    request: Request,
    service: ServiceDep,
    status: Status | None = None,
    tag: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00-\x1f]+$")] = None,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> TranscriptionPage:
    """A page of transcriptions, newest first."""
    page = jobs.page(service.database, status=status, tag=tag, after=after, limit=limit)
    base = public_url(request, service)
    return TranscriptionPage(data=[transcription_of(job, base) for job in page.jobs], next=page.next_cursor)


@router.get("/{transcription_id}")
async def get_transcription(
    request: Request,
    response: Response,
    service: ServiceDep,
    job_id: JobId,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the end.")] = 0,
) -> TranscriptionDetail:
    """A transcription, whatever its state. With `wait`, the answer comes when it ends, or after that time."""
    job = await _ended_or_later(service, job_id, wait)
    if not job.terminal:
        response.headers["Retry-After"] = POLL_SECONDS
    attempts = await run_in_threadpool(jobs.attempts, service.database, job_id)
    return detail_of(job, attempts, public_url(request, service))


async def _ended_or_later(service: Service, job_id: uuid.UUID, seconds: float) -> Job:
    """The job as soon as it has ended, or as it is after `seconds`. No thread and no connection waits."""
    deadline = time.monotonic() + seconds
    with service.changes.of(job_id) as changed:
        while True:
            changed.clear()
            job = await run_in_threadpool(jobs.get, service.database, job_id)
            left = deadline - time.monotonic()
            if job.terminal or left <= 0 or service.changes.closing:
                return job
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), min(left, LOOK_AGAIN_SECONDS))


@router.get(
    "/{transcription_id}/transcript",
    response_class=StreamingResponse,
    responses={200: {"content": {media.partition(";")[0]: {} for media in MEDIA_TYPES.values()}}},
)
def get_transcript(
    request: Request,
    service: ServiceDep,
    job_id: JobId,
    form: Annotated[Literal["json", "txt", "srt", "vtt"] | None, Query(alias="format")] = None,
    partial: bool = False,
) -> StreamingResponse:
    """The transcript, in the form that `format` or the `Accept` header asks for."""
    chosen = chosen_format(form, request.headers.get("accept"))
    job = jobs.readable(jobs.get(service.database, job_id), partial=partial)
    pieces = render(chosen, _head(job), jobs.sentences(service.database, job))
    headers = {
        "Content-Disposition": f'inline; filename="{job.public_id}.{chosen.value}"',
        "Vary": "Accept",
        "X-Paraqueue-Model": job.result.model if job.result else job.model,
    }
    return StreamingResponse(_in_blocks(pieces), headers=headers, media_type=MEDIA_TYPES[chosen])


def _head(job: Job) -> Transcript:
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
    )


def _in_blocks(pieces: Iterator[str]) -> Iterator[bytes]:
    """Sentences gathered into blocks: each write to the socket costs a switch of threads."""
    block = bytearray()
    for piece in pieces:
        block += piece.encode()
        if len(block) >= WRITE_BYTES:
            yield bytes(block)
            block.clear()
    yield bytes(block)


@router.post("/{transcription_id}/cancel", status_code=202)
def cancel(request: Request, service: ServiceDep, job_id: JobId) -> Transcription:
    """Cancel a transcription. A worker that has it stops within seconds."""
    job = jobs.cancel(service.database, job_id)
    service.dispatcher.wake()
    return transcription_of(job, public_url(request, service))


@router.post("/{transcription_id}/retry", status_code=202)
def retry(request: Request, response: Response, service: ServiceDep, job_id: JobId) -> Transcription:
    """Start a new run of a failed or canceled transcription."""
    job = jobs.retry(service.database, job_id)
    service.dispatcher.wake()
    response.headers["Retry-After"] = POLL_SECONDS
    return transcription_of(job, public_url(request, service))


@router.delete("/{transcription_id}", status_code=204, response_class=Response)
def delete(service: ServiceDep, job_id: JobId) -> None:
    """Delete a transcription with its audio and text. One that a worker has must be canceled first."""
    jobs.delete_job(service.database, service.storage, job_id)
