"""Transcriptions: submit, list, read, cancel, retry, delete."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response

from api.auth.callers import Caller
from api.auth.concurrency import Concurrency
from api.deps import (
    DatabaseDep,
    DispatcherDep,
    EstimatesDep,
    ReadCaller,
    Service,
    ServiceDep,
    StorageDep,
    SubmitCaller,
    job_uuid,
    public_url,
    service_of,
    v1_router,
)
from api.http.datetimes import Moment
from api.http.error_responses import OF_IDEMPOTENCY, OF_STORING, OF_SUBMITTING, errors_of
from api.http.paging import Limit
from api.http.threads import in_thread
from api.transcriptions.batch_schemas import BatchDetail
from api.transcriptions.follow import ended_or_later
from api.transcriptions.job_json import detail_json, page_json, transcription_of
from api.transcriptions.schemas import Transcription, TranscriptionDetail, TranscriptionPage
from api.transcriptions.submitting.accept import accepted
from api.transcriptions.submitting.idempotency import ACCEPTED_HEADERS, IDEMPOTENT, Key, key_of, response_of
from api.transcriptions.submitting.submit import asked_by, fingerprint
from common import errors, ids, jobs, summaries
from common.idempotency import StoredResponse
from common.job_states import Status
from common.jobs import Attempt, Estimate, Job, Sort, expiry_of
from common.keys import Scope

router = v1_router("/v1/transcriptions", "transcriptions")
JobId = Annotated[uuid.UUID, Depends(job_uuid)]
POLL_SECONDS = "2"
# A name filter reads many rows, like a search; a page that filters as one types needs two at a time.
NAME_FILTERS = Concurrency(3)
OF_USED_UPLOADS = (errors.NotFound, errors.WrongState, errors.UploadLocked, errors.Expired)

# The bodies are read by `api.transcriptions.submitting.submit`, not by FastAPI.
SUBMIT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "anyOf": [
                        {"$ref": f"#/components/schemas/{name}"}
                        for name in ("SubmitLink", "SubmitUpload", "SubmitLinks")
                    ]
                }
            },
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/SubmitFile"}},
        },
    }
}


@router.post(
    "",
    status_code=202,
    response_model=Transcription | BatchDetail,
    openapi_extra=SUBMIT_BODY | IDEMPOTENT,
    response_description="The transcription, or with `audio_urls` the batch, is queued.",
    responses={
        200: {"model": Transcription, "description": "With `dedupe`: an earlier transcription"},
        202: {"headers": ACCEPTED_HEADERS},
        **errors_of(*OF_SUBMITTING, *OF_STORING, errors.AudioEmpty, errors.UploadIncomplete, *OF_USED_UPLOADS),
    },
)
async def submit_transcription(request: Request, caller: SubmitCaller) -> Response:
    """Submit audio: a multipart form with `file`, or JSON with `audio_url`, `audio_urls` or `upload_id`.

    The answer comes at once. With an `Idempotency-Key`, a repeat is given the same answer for 24 hours.
    """
    service = service_of(request)
    async with key_of(request, service, caller) as key:
        return await accepted(request, service, caller, await asked_by(request, service.storage, caller), key)


@router.get("", response_model=TranscriptionPage, responses=errors_of(errors.NotFound))
def list_transcriptions(
    request: Request,
    caller: ReadCaller,
    status: Status | None = None,
    tag: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00-\x1f]+$")] = None,
    batch: Annotated[str | None, Query(max_length=64)] = None,
    name: Annotated[
        str | None,
        Query(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$", description="Words that the name contains."),
    ] = None,
    created_from: Annotated[
        Moment | None, Query(description="Only transcriptions created at or after this time.")
    ] = None,
    created_to: Annotated[Moment | None, Query(description="Before this moment.")] = None,
    sort: Annotated[
        Sort, Query(description="`longest`: unknown durations come last; `name`: letter by letter, without case.")
    ] = Sort.NEWEST,
    preview: Annotated[bool, Query(description="Add the beginning of each transcript.")] = False,
    after: Annotated[str | None, Query(max_length=1000)] = None,
    limit: Limit = 20,
) -> Response:
    """A page of transcriptions, newest first or in another order."""
    service = service_of(request)
    with NAME_FILTERS.of(caller.tenant) if name is not None else nullcontext():
        page = jobs.page(
            service.database,
            tenant=caller.tenant,
            status=status,
            tag=tag,
            batch_id=ids.parsed(ids.BATCH, batch) if batch is not None else None,
            name=name,
            created_from=created_from,
            created_to=created_to,
            sort=sort,
            after=after,
            limit=limit,
            previews=preview,
        )
    return _json(page_json(page, public_url(request), service.estimates))


@router.get("/{transcription_id}", response_model=TranscriptionDetail)
async def get_transcription(
    request: Request,
    caller: ReadCaller,
    transcription_id: str,
    wait: Annotated[
        float, Query(allow_inf_nan=False, ge=0, le=60, description="Seconds to wait for the transcription to end.")
    ] = 0,
) -> Response:
    """A transcription in any state. With `wait`, the response is delayed until it ends or that time has passed."""
    service, job_id = service_of(request), ids.parsed(ids.JOB, transcription_id)
    if wait:
        await ended_or_later(service.notifications, service.database, job_id, tenant=caller.tenant, seconds=wait)
    job, attempts, estimate, summary = await in_thread(_look, service, caller.tenant, job_id)
    headers = {} if job.terminal else {"Retry-After": POLL_SECONDS}
    expiry = expiry_of(job, service.settings)
    return _json(detail_json(job, attempts, public_url(request), estimate, expiry, summary), headers)


def _json(body: bytes, headers: Mapping[str, str] | None = None) -> Response:
    """Return a response as it is. FastAPI would build and validate it in another thread."""
    return Response(body, 200, headers, media_type="application/json")


def _look(service: Service, tenant: str, job_id: uuid.UUID) -> tuple[Job, list[Attempt], Estimate, Status | None]:
    job, attempts = jobs.get_with_attempts(service.database, job_id, tenant=tenant)
    # Without summaries, a poll costs no query more.
    summary = summaries.status_of(service.database, job.id) if service.settings.summaries else None
    return job, attempts, service.estimates.of(job), summary


@router.post("/{transcription_id}/cancel", status_code=202, responses=errors_of(errors.WrongState))
def cancel_transcription(
    request: Request,
    database: DatabaseDep,
    dispatcher: DispatcherDep,
    estimates: EstimatesDep,
    caller: SubmitCaller,
    job_id: JobId,
) -> Transcription:
    """Cancel a transcription. A worker that is processing it stops within seconds."""
    job = jobs.cancel(database, job_id, tenant=caller.tenant)
    dispatcher.wake()
    return _shown_to(caller, job, transcription_of(job, public_url(request), estimates.of(job)))


def _shown_to(caller: Caller, job: Job, shown: Transcription) -> Transcription:
    """Return a job as the response to a change may show it: without read scope, no text from other keys."""
    if Scope.READ in caller.scopes or job.key_id == caller.key_id:
        return shown
    source = shown.source.model_copy(update={"url": None, "name": None})
    texts: dict[str, Any] = {
        "name": None,
        "tags": [],
        "webhook_url": None,
        "hotwords": [],
        "masked_words": [],
        "tracks": [],
    }
    return shown.model_copy(update=texts | {"error": None, "warnings": [], "source": source})


@router.post(
    "/{transcription_id}/retry",
    status_code=202,
    response_model=Transcription,
    openapi_extra=IDEMPOTENT,
    responses={
        202: {"headers": ACCEPTED_HEADERS},
        **errors_of(*OF_IDEMPOTENCY, errors.WrongState, errors.Expired, errors.QuotaExceeded),
    },
)
async def retry_transcription(request: Request, service: ServiceDep, caller: SubmitCaller, job_id: JobId) -> Response:
    """Start a new run of a failed or canceled transcription. Supports `Idempotency-Key`."""
    request_hash = fingerprint(request, "")
    async with key_of(request, service, caller) as key:
        replayed = key.replay(request_hash)
        if replayed is not None:
            return replayed
        answer = await in_thread(_retried, service, caller, job_id, key, request_hash, public_url(request))
    service.dispatcher.wake()
    return response_of(answer)


def _retried(
    service: Service, caller: Caller, job_id: uuid.UUID, key: Key, request_hash: bytes, base_url: str
) -> StoredResponse:
    with service.database.transaction() as session:
        # A key that may not read does not become the owner of another key's job: owners see its tags and names.
        job = jobs.retry_in(
            session,
            job_id,
            tenant=caller.tenant,
            key_id=caller.key_id,
            quota=caller.quota,
            take_over=Scope.READ in caller.scopes,
            max_priority=caller.max_priority,
        )
        shown = _shown_to(caller, job, transcription_of(job, base_url, Estimate()))
        answer = StoredResponse(request_hash, 202, shown.model_dump_json().encode(), shown.links.self)
        key.keep(session, answer, job_id=job_id)
    return answer


@router.delete(
    "/{transcription_id}",
    status_code=204,
    response_class=Response,
    responses=errors_of(errors.WrongState, errors.StorageUnavailable),
)
def delete_transcription(database: DatabaseDep, storage: StorageDep, caller: SubmitCaller, job_id: JobId) -> None:
    """Delete a transcription with its audio and text. If it is processing, cancel it first."""
    jobs.delete_job(database, storage, job_id, tenant=caller.tenant)
