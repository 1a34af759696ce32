"""Resumable uploads (tus 1.0): create, query, append, delete. A transcription refers to one by its `upload_id`."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Annotated

from fastapi import Depends, Request, Response

from api.auth.callers import Caller
from api.deps import CallerDep, DatabaseDep, Service, ServiceDep, StorageDep, SubmitCaller, public_url, v1_router
from api.http.body_writer import BodyWriter
from api.http.error_responses import OF_BODIES, OF_STORING, Responses, errors_of
from api.http.threads import in_storage_thread, in_thread
from api.uploads import tus
from common import errors, ids, uploads
from common.errors import InvalidRequest
from common.settings import Settings
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
UPLOAD_HEADERS = {
    "Upload-Offset": {"description": "Number of stored bytes.", "schema": {"type": "integer"}},
    "Upload-Length": {"description": "Size of the file, once it is known.", "schema": {"type": "integer"}},
    "Upload-Expires": {"description": "When the upload is deleted, if it was not used.", "schema": {"type": "string"}},
}
OF_TUS = (errors.TusVersion, errors.Expired)
OF_RECEIVING = (
    *OF_TUS,
    *OF_BODIES,
    *OF_STORING,
    errors.UploadIncomplete,
    errors.UploadLocked,
    errors.ChecksumMismatch,
)
OF_APPENDING = (*OF_RECEIVING, errors.OffsetMismatch, errors.UnsupportedMediaType, errors.WrongState)


def _responses(status: int, *kinds: type[errors.ParaqueueError]) -> Responses:
    """Return what is documented of a call that answers with the headers of an upload."""
    return {status: {"headers": UPLOAD_HEADERS}, **errors_of(*kinds)}


@router.options("", status_code=204, response_class=Response, responses={204: {"headers": tus.ABILITY_HEADERS}})
async def get_upload_options(caller: CallerDep) -> Response:
    """The tus extensions and limits of this service."""
    return Response(status_code=204, headers=tus.abilities(caller.limits.max_upload_bytes))


@router.post(
    "",
    status_code=201,
    response_class=Response,
    dependencies=TUS,
    responses=_responses(201, *OF_RECEIVING, errors.QuotaExceeded),
)
async def create_upload(request: Request, service: ServiceDep, caller: SubmitCaller) -> Response:
    """Create an upload of `Upload-Length` bytes. Its URL is in `Location`; the body may contain the first bytes."""
    limit = caller.limits.max_upload_bytes
    length = tus.announced_length(request, limit)
    checksum = tus.checksum(request)
    text, name = tus.metadata(request)
    upload = await in_thread(
        uploads.create,
        service.database,
        tenant=caller.tenant,
        key_id=caller.key_id,
        length=length,
        name=name,
        metadata=text,
        part_bytes=max(PART_BYTES, -(-(length or limit) // PARTS)),
        retention_seconds=_retention(service.settings),
        room=room_of(service.settings, caller),
    )
    if tus.brings_bytes(request) or length == 0:
        terms = Terms(caller.tenant, 0, None, checksum, limit, _retention(service.settings))
        upload = await _append(request, service, upload.id, terms)
    location = f"{public_url(request)}/v1/uploads/{upload.public_id}"
    return Response(status_code=201, headers={"Location": location, **tus.standing(upload)})


@router.head("/{upload_id}", response_class=Response, dependencies=TUS, responses=_responses(200, *OF_TUS))
async def get_upload_offset(database: DatabaseDep, caller: SubmitCaller, upload_id: UploadId) -> Response:
    """The number of stored bytes (`Upload-Offset`), where the client continues."""
    upload = await in_thread(uploads.get, database, upload_id, tenant=caller.tenant)
    return Response(headers=tus.standing(upload))


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    dependencies=TUS,
    responses=_responses(204, *OF_APPENDING),
)
async def append_to_upload(
    request: Request, service: ServiceDep, caller: SubmitCaller, upload_id: UploadId
) -> Response:
    """Append the body at `Upload-Offset`, which must equal the upload's current offset."""
    tus.must_bring_bytes(request)
    offset = tus.number(request, "Upload-Offset")
    if offset is None:
        raise InvalidRequest("`Upload-Offset` is missing")
    limit = caller.limits.max_upload_bytes
    length = tus.at_most(tus.number(request, "Upload-Length"), limit)
    terms = Terms(caller.tenant, offset, length, tus.checksum(request), limit, _retention(service.settings))
    upload = await _append(request, service, upload_id, terms)
    return Response(status_code=204, headers=tus.standing(upload))


@router.post(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    dependencies=TUS,
    responses=_responses(204, *OF_APPENDING),
)
async def override_upload_method(
    request: Request, service: ServiceDep, caller: SubmitCaller, upload_id: UploadId
) -> Response:
    """PATCH or DELETE, given in `X-HTTP-Method-Override`, for clients that cannot send these methods."""
    method = request.headers.get("x-http-method-override", "").upper()
    if method == "PATCH":
        return await append_to_upload(request, service, caller, upload_id)
    if method == "DELETE":
        return await delete_upload(service.database, service.storage, caller, upload_id)
    raise InvalidRequest("`X-HTTP-Method-Override` must be PATCH or DELETE here")


@router.delete(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    dependencies=TUS,
    responses=errors_of(*OF_TUS, errors.UploadLocked, errors.WrongState, errors.StorageUnavailable),
)
async def delete_upload(
    database: DatabaseDep, storage: StorageDep, caller: SubmitCaller, upload_id: UploadId
) -> Response:
    """Delete an upload, complete or not, that was not used for a transcription."""
    await in_thread(uploads.remove, database, storage, upload_id, tenant=caller.tenant)
    return Response(status_code=204)


def room_of(settings: Settings, caller: Caller) -> Room:
    """The limits of the tenant's open uploads."""
    return Room(settings.tenant_open_uploads, settings.tenant_open_upload_bytes, caller.limits.max_upload_bytes)


def _retention(settings: Settings) -> float:
    return settings.upload_retention_hours * HOUR_SECONDS


async def _append(request: Request, service: Service, upload_id: uuid.UUID, terms: Terms) -> Upload:
    terms = replace(terms, announced=tus.number(request, "Content-Length"))
    held: Append = await in_thread(uploads.begin, service.database, service.storage, service.hashes, upload_id, terms)
    try:
        await BodyWriter(
            request.receive,
            held,
            idle_seconds=service.settings.upload_idle_seconds,
            closing=lambda: service.notifications.closing,
        ).run()
    except BaseException:
        await in_storage_thread(held.break_off)
        raise
    return await in_storage_thread(held.end)
