"""Uploads that go directly to the object store, if storage is S3."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.deps import ServiceDep, SubmitCaller, v1_router
from api.uploads import tus
from api.uploads.routes import HOUR_SECONDS, UploadId, room_of
from common import uploads
from common.errors import UploadTooLarge
from common.uploads import Upload

router = v1_router("/v1/uploads", "uploads")
# Version 4 signatures are valid for a week at most.
LONGEST_SECONDS = 7 * 24 * HOUR_SECONDS


class PresignedCreate(BaseModel):
    """A file to upload."""

    model_config = ConfigDict(extra="forbid")

    bytes: int = Field(ge=1, le=2**53, description="Its size: the store takes no other one.")
    name: Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00]*$")] | None = None


class PartOut(BaseModel):
    """Where so many bytes go, by PUT."""

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
    parts: list[PartOut] = Field(description="One PUT for each, in any order; none when it is complete.")


@router.post("/presigned", status_code=201)
def begin(service: ServiceDep, caller: SubmitCaller, asked: PresignedCreate) -> PresignedUpload:
    """Addresses to PUT a file to: one up to 64 MiB, else one for each part. Then call `complete`."""
    limit = caller.limits.max_upload_bytes
    if asked.bytes > limit:
        raise UploadTooLarge(f"the file is larger than the limit of {limit} bytes")
    upload, parts = uploads.begin_direct(
        service.database,
        service.storage,
        tenant=caller.tenant,
        key_id=caller.key_id,
        length=asked.bytes,
        name=tus.plain_name(asked.name or ""),
        room=room_of(service, caller),
        seconds=min(service.settings.upload_retention_hours * HOUR_SECONDS, LONGEST_SECONDS),
    )
    return _shown(upload, [PartOut(number=part.number, bytes=part.size, url=part.url) for part in parts])


@router.post("/{upload_id}/complete")
def complete(service: ServiceDep, caller: SubmitCaller, upload_id: UploadId) -> PresignedUpload:
    """After the last PUT: checks that all bytes came, no more and no less. Then `upload_id` can be submitted."""
    seconds = service.settings.upload_retention_hours * HOUR_SECONDS
    upload = uploads.complete_direct(
        service.database,
        service.storage,
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
