"""Transcriptions: submit, look, read, cancel, retry, delete."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.deps import ReadCaller, Service, ServiceDep, SubmitCaller, job_uuid, public_url
from api.schemas import (
    Options,
    SubmitLink,
    SubmitUpload,
    Transcription,
    TranscriptionDetail,
    TranscriptionPage,
    detail_of,
    transcription_of,
)
from api.submitting import linked, uploaded
from api.waiting import ended_or_later
from common import jobs
from common.job_states import Status
from common.jobs import Attempt, Estimate, Job, Submission

router = APIRouter(prefix="/v1/transcriptions", tags=["transcriptions"])
JobId = Annotated[uuid.UUID, Depends(job_uuid)]
POLL_SECONDS = "2"

SUBMIT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [SubmitLink.model_json_schema(), SubmitUpload.model_json_schema()]}
            },
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
async def submit(request: Request, response: Response, service: ServiceDep, caller: SubmitCaller) -> Transcription:
    """Submit audio: a multipart form with `file`, or JSON with `audio_url` or `upload_id`. The answer comes at once."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        submission = await linked(request, service, caller)
    else:
        submission = await uploaded(request, service, caller)
    job, estimate = await run_in_threadpool(_accept, service, submission)
    shown = transcription_of(job, public_url(request, service), estimate)
    response.headers["Location"] = shown.links.self
    response.headers["Retry-After"] = POLL_SECONDS
    return shown


def _accept(service: Service, submission: Submission) -> tuple[Job, Estimate]:
    """All of it in one thread: a switch to another one costs as much as a statement."""
    job = jobs.submit(service.database, submission)
    service.dispatcher.wake()
    return job, service.outlook.of(job)


@router.get("")
def list_transcriptions(
    request: Request,
    service: ServiceDep,
    caller: ReadCaller,
    status: Status | None = None,
    tag: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00-\x1f]+$")] = None,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> TranscriptionPage:
    """A page of transcriptions, newest first."""
    page = jobs.page(service.database, tenant=caller.tenant, status=status, tag=tag, after=after, limit=limit)
    base = public_url(request, service)
    shown = [transcription_of(job, base, service.outlook.of(job)) for job in page.jobs]
    return TranscriptionPage(data=shown, next=page.next_cursor)


@router.get("/{transcription_id}")
async def get_transcription(
    request: Request,
    response: Response,
    service: ServiceDep,
    caller: ReadCaller,
    job_id: JobId,
    wait: Annotated[float, Query(ge=0, le=60, description="Seconds to wait for the end.")] = 0,
) -> TranscriptionDetail:
    """A transcription, whatever its state. With `wait`, the answer comes when it ends, or after that time."""
    if wait:
        await ended_or_later(service, caller.tenant, job_id, wait)
    job, attempts, estimate = await run_in_threadpool(_look, service, caller.tenant, job_id)
    if not job.terminal:
        response.headers["Retry-After"] = POLL_SECONDS
    return detail_of(job, attempts, public_url(request, service), estimate)


def _look(service: Service, tenant: str, job_id: uuid.UUID) -> tuple[Job, list[Attempt], Estimate]:
    job, attempts = jobs.get_with_attempts(service.database, job_id, tenant=tenant)
    return job, attempts, service.outlook.of(job)


@router.post("/{transcription_id}/cancel", status_code=202)
def cancel(request: Request, service: ServiceDep, caller: SubmitCaller, job_id: JobId) -> Transcription:
    """Cancel a transcription. A worker that has it stops within seconds."""
    job = jobs.cancel(service.database, job_id, tenant=caller.tenant)
    service.dispatcher.wake()
    return transcription_of(job, public_url(request, service), service.outlook.of(job))


@router.post("/{transcription_id}/retry", status_code=202)
def retry(
    request: Request, response: Response, service: ServiceDep, caller: SubmitCaller, job_id: JobId
) -> Transcription:
    """Start a new run of a failed or canceled transcription."""
    job = jobs.retry(service.database, job_id, tenant=caller.tenant)
    service.dispatcher.wake()
    response.headers["Retry-After"] = POLL_SECONDS
    return transcription_of(job, public_url(request, service), service.outlook.of(job))


@router.delete("/{transcription_id}", status_code=204, response_class=Response)
def delete(service: ServiceDep, caller: SubmitCaller, job_id: JobId) -> None:
    """Delete a transcription with its audio and text. One that a worker has must be canceled first."""
    jobs.delete_job(service.database, service.storage, job_id, tenant=caller.tenant)
