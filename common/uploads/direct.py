"""Uploads whose bytes go directly to the object store: begin and complete."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from common import audio_keys, ids
from common.db import Database
from common.errors import InvalidRequest, UploadIncomplete, UploadTooLarge, WrongState
from common.storage import Direct, PartialObject, Storage
from common.uploads import rows, whole
from common.uploads.rows import NO_BOUNDS, Room
from common.uploads.upload import Upload

# Up to this size an upload is one PUT; larger ones have at most 1,000 of them.
PART_BYTES = 64 * 1024 * 1024
PARTS = 1000


@dataclass(frozen=True, slots=True)
class PartUrl:
    """Where `size` bytes go."""

    number: int
    size: int
    url: str


def begin_direct(
    database: Database,
    storage: Storage,
    *,
    tenant: str,
    key_id: uuid.UUID | None,
    length: int,
    name: str | None,
    seconds: float,
    room: Room = NO_BOUNDS,
) -> tuple[Upload, list[PartUrl]]:
    """A new upload with the addresses of its parts.

    Raises InvalidRequest where storage is a directory; QuotaExceeded where the tenant has no room for it.
    """
    direct = _direct(storage)
    upload_id = ids.new_id()
    key = audio_keys.upload(upload_id)
    # Before calling the store: a multipart upload without a row would have to be found and aborted.
    rows.ensure_room(database, tenant, length, room)
    multipart_id = direct.begin(key)
    upload = rows.create(
        database,
        upload_id=upload_id,
        tenant=tenant,
        key_id=key_id,
        length=length,
        name=name,
        metadata=None,
        part_bytes=max(PART_BYTES, -(-length // PARTS)),
        retention_seconds=seconds,
        direct=True,
        multipart_id=multipart_id,
    )
    sizes = [min(upload.part_bytes, length - start) for start in range(0, length, upload.part_bytes)]
    return upload, [
        PartUrl(number, size, direct.part_url(key, multipart_id, number, size, int(seconds)))
        for number, size in enumerate(sizes, start=1)
    ]


def complete_direct(
    database: Database, storage: Storage, upload_id: uuid.UUID, *, tenant: str, limit: int, seconds: float
) -> Upload:
    """Create the object from its parts if they are as announced; idempotent.

    Raises NotFound, Expired, UploadLocked; WrongState for another kind of upload; UploadIncomplete if bytes are
    missing; UploadTooLarge if more bytes arrived than announced, which deletes the upload, or more than `limit`, which
    is the caller's: another key of the tenant may be allowed more.
    """
    upload = rows.get(database, upload_id, tenant=tenant)
    if not upload.direct:
        raise WrongState("this upload is received by the API and completes automatically")
    if upload.completed_at is not None:
        return upload
    held = rows.lock(database, upload_id, tenant=tenant, offset=None)
    try:
        grown = held.grown
        if not grown.parts:  # else they were complete already when a process died here
            parts = _direct(storage).sent(audio_keys.upload(upload_id), str(grown.upload_id))
            grown = PartialObject(sum(part.size for part in parts), grown.upload_id, parts)
            if grown.size < (upload.length or 0):
                raise UploadIncomplete(f"{grown.size} of {upload.length} bytes were received")
            if grown.size == upload.length:
                _check_limit(grown.size, limit)
                rows.commit(database, held, grown, known_parts=0, retention_seconds=seconds)
        if grown.size == upload.length:
            whole.complete(database, storage, held, grown, None)
            return rows.get(database, upload_id, tenant=tenant)
    except BaseException:
        rows.unlock(database, held)
        raise
    rows.unlock(database, held)
    rows.remove(database, storage, upload_id, tenant=tenant)
    raise UploadTooLarge(f"{grown.size} bytes were received instead of {upload.length}; the upload is deleted")


def _check_limit(size: int, limit: int) -> None:
    if size > limit:
        raise UploadTooLarge(f"the file has {size} bytes, which is more than the limit of {limit}")


def _direct(storage: Storage) -> Direct:
    direct = storage.direct()
    if direct is None:
        raise InvalidRequest("this installation stores audio in a directory: use tus or a form upload")
    return direct
