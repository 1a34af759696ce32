"""Resumable uploads (tus 1.0): create, query, append, delete. A transcription refers to one by its `upload_id`."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from api.auth.callers import Caller
from api.deps import CallerDep, Service, ServiceDep, SubmitCaller, public_url, v1_router
from api.http.body_writer import BodyWriter
from api.uploads import tus
from common import ids, uploads
from common.errors import InvalidRequest
from common.uploads import Append, Room, Terms, Upload

router = v1_router("/v1/uploads", "uploads")
HOUR_SECONDS = 3600.0
# S3 parts have at least 5 MiB and at most 10,000 numbers; some numbers are reserved for interrupted requests.
PART_BYTES = 8 * 1024 * 1024
PARTS = 8_000


async def upload_uuid(upload_id: str) -> uuid.UUID:
    """Return the UUID of an upload id in a path. Raises NotFound if it is not a valid upload id."""
    return ids.parsed(ids.UPLOAD, upload_id)


UploadId = Annotated[uuid.UUID, Depends(upload_uuid)]
TUS = [Depends(tus.speak_tus)]


@router.options("", status_code=204, response_class=Response)
async def abilities(caller: CallerDep) -> Response:
    """What of tus this service can do."""
    return Response(status_code=204, headers=tus.abilities(caller.limits.max_upload_bytes))


@router.post("", status_code=201, response_class=Response, dependencies=TUS)
async def create(request: Request, service: ServiceDep, caller: SubmitCaller) -> Response:
    """Begin an upload of `Upload-Length` bytes. Its address is in `Location`; the first bytes may be in the body."""
    limit = caller.limits.max_upload_bytes
    length = tus.announced_length(request, limit)
    checksum = tus.checksum(request)
    text, name = tus.metadata(request)
    upload = await run_in_threadpool(
        uploads.create,
        service.database,
        tenant=caller.tenant,
        key_id=caller.key_id,
        length=length,
        name=name,
        metadata=text,
        part_bytes=max(PART_BYTES, -(-(length or limit) // PARTS)),
        retention_seconds=_retention(service),
        room=room_of(service, caller),
    )
    if tus.brings_bytes(request) or length == 0:
        terms = Terms(caller.tenant, 0, None, checksum, limit, _retention(service))
        upload = await _append(request, service, upload.id, terms)
    location = f"{public_url(request, service)}/v1/uploads/{upload.public_id}"
    return Response(status_code=201, headers={"Location": location, **tus.standing(upload)})


@router.head("/{upload_id}", response_class=Response, dependencies=TUS)
async def standing(service: ServiceDep, caller: SubmitCaller, upload_id: UploadId) -> Response:
    """How many bytes are safe: `Upload-Offset`, where to go on."""
    upload = await run_in_threadpool(uploads.get, service.database, upload_id, tenant=caller.tenant)
    return Response(headers=tus.standing(upload))


@router.patch("/{upload_id}", status_code=204, response_class=Response, dependencies=TUS)
async def append(request: Request, service: ServiceDep, caller: SubmitCaller, upload_id: UploadId) -> Response:
    """Append the body at `Upload-Offset`, which must be where the upload stands."""
    tus.must_bring_bytes(request)
    offset = tus.number(request, "Upload-Offset")
    if offset is None:
        raise InvalidRequest("`Upload-Offset` is missing")
    limit = caller.limits.max_upload_bytes
    length = tus.at_most(tus.number(request, "Upload-Length"), limit)
    terms = Terms(caller.tenant, offset, length, tus.checksum(request), limit, _retention(service))
    upload = await _append(request, service, upload_id, terms)
    return Response(status_code=204, headers=tus.standing(upload))


@router.post("/{upload_id}", status_code=204, response_class=Response, dependencies=TUS)
async def overridden(request: Request, service: ServiceDep, caller: SubmitCaller, upload_id: UploadId) -> Response:
    """PATCH or DELETE, named by `X-HTTP-Method-Override`, for clients that cannot send those."""
    method = request.headers.get("x-http-method-override", "").upper()
    if method == "PATCH":
        return await append(request, service, caller, upload_id)
    if method == "DELETE":
        return await remove(service, caller, upload_id)
    raise InvalidRequest("`X-HTTP-Method-Override` must be PATCH or DELETE here")


@router.delete("/{upload_id}", status_code=204, response_class=Response, dependencies=TUS)
async def remove(service: ServiceDep, caller: SubmitCaller, upload_id: UploadId) -> Response:
    """Delete an upload, finished or not, of which no transcription was made."""
    await run_in_threadpool(uploads.remove, service.database, service.storage, upload_id, tenant=caller.tenant)
    return Response(status_code=204)


def room_of(service: Service, caller: Caller) -> Room:
    """What the tenant's open uploads may come to."""
    settings = service.settings
    return Room(settings.tenant_open_uploads, settings.tenant_open_upload_bytes, caller.limits.max_upload_bytes)


def _retention(service: Service) -> float:
    return service.settings.upload_retention_hours * HOUR_SECONDS


async def _append(request: Request, service: Service, upload_id: uuid.UUID, terms: Terms) -> Upload:
    terms = replace(terms, announced=tus.number(request, "Content-Length"))
    held: Append = await run_in_threadpool(
        uploads.begin, service.database, service.storage, service.hashes, upload_id, terms
    )
    try:
        await BodyWriter(
            request.receive,
            held,
            idle_seconds=service.settings.upload_idle_seconds,
            closing=lambda: service.notifications.closing,
        ).run()
    except BaseException:
        await run_in_threadpool(held.break_off)
        raise
    return await run_in_threadpool(held.end)
