"""Uploads that go directly to the object store, if storage is S3."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.deps import DatabaseDep, SettingsDep, StorageDep, SubmitCaller, v1_router
from api.http.error_responses import OF_STORING, errors_of
from api.uploads.routes import HOUR_SECONDS, UploadId, room_of
from common import errors, file_names, uploads
from common.errors import UploadTooLarge
from common.uploads import Upload

router = v1_router("/v1/uploads", "uploads")
# Version 4 signatures are valid for a week at most.
LONGEST_SECONDS = 7 * 24 * HOUR_SECONDS


class PresignedCreate(BaseModel):
    """A file to upload."""

    model_config = ConfigDict(extra="forbid")

    bytes: int = Field(ge=1, le=2**53, description="Exact size of the file; the store accepts no other size.")
    name: Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")] | None = None


class PartOut(BaseModel):
    """A PUT request for one part."""

    number: int
    bytes: int
    url: str


class PresignedUpload(BaseModel):
    """An upload whose bytes go elsewhere."""

    id: str
    object: Literal["upload"] = "upload"
    bytes: int | None
    complete: bool
    expires_at: datetime
    parts: list[PartOut] = Field(
        description="One PUT request for each, in any order; empty when the upload is complete."
    )


@router.post("/presigned", status_code=201, responses=errors_of(errors.QuotaExceeded, *OF_STORING))
def create_presigned_upload(
    database: DatabaseDep, storage: StorageDep, settings: SettingsDep, caller: SubmitCaller, body: PresignedCreate
) -> PresignedUpload:
    """Addresses to PUT a file to: one up to 64 MiB, else one for each part. Then call `complete`."""
    limit = caller.limits.max_upload_bytes
    if body.bytes > limit:
        raise UploadTooLarge(f"the file is larger than the limit of {limit} bytes")
    upload, parts = uploads.begin_direct(
        database,
        storage,
        tenant=caller.tenant,
        key_id=caller.key_id,
        length=body.bytes,
        name=file_names.plain(body.name or ""),
        room=room_of(settings, caller),
        seconds=min(settings.upload_retention_hours * HOUR_SECONDS, LONGEST_SECONDS),
    )
    return _shown(upload, [PartOut(number=part.number, bytes=part.size, url=part.url) for part in parts])


@router.post(
    "/{upload_id}/complete",
    responses=errors_of(
        errors.UploadIncomplete,
        errors.UploadTooLarge,
        errors.WrongState,
        errors.UploadLocked,
        errors.Expired,
        *OF_STORING,
    ),
)
def complete_presigned_upload(
    database: DatabaseDep, settings: SettingsDep, storage: StorageDep, caller: SubmitCaller, upload_id: UploadId
) -> PresignedUpload:
    """After the last PUT: checks that all bytes came, no more and no less. Then `upload_id` can be submitted."""
    seconds = settings.upload_retention_hours * HOUR_SECONDS
    upload = uploads.complete_direct(
        database,
        storage,
        upload_id,
        tenant=caller.tenant,
        limit=caller.limits.max_upload_bytes,
        seconds=seconds,
    )
    return _shown(upload, [])


def _shown(upload: Upload, parts: list[PartOut]) -> PresignedUpload:
    return PresignedUpload(
        id=upload.public_id,
        bytes=upload.length,
        complete=upload.completed_at is not None,
        expires_at=upload.expires_at,
        parts=parts,
    )
