"""Completion of an upload, from its last byte to the object that a job is created from."""

from __future__ import annotations

import hashlib

from common import audio_keys
from common.db import Database
from common.storage import PartialObject, Storage
from common.uploads import rows
from common.uploads.upload import Upload, UploadLock

# The bytes are read again at the end if no single process saw all of them; above this size the worker that fetches the
# object does that.
READ_AGAIN_BYTES = 256 * 1024 * 1024


def complete(database: Database, storage: Storage, held: UploadLock, grown: PartialObject, sha256: str | None) -> None:
    """Assemble the object and record it in the row; may be repeated after a crash."""
    key = audio_keys.upload(held.upload.id)
    if grown.size:
        storage.finish(key, grown)
    if sha256 is None and grown.size <= READ_AGAIN_BYTES:
        sha256 = _sha256(storage, key, grown.size)
    rows.complete(database, held, sha256)


def ensure_complete(database: Database, storage: Storage, upload: Upload) -> Upload:
    """Complete an upload whose last request died between its last byte and the object. Raises UploadLocked."""
    if upload.completed_at is not None or not upload.whole:
        return upload
    held = rows.lock(database, upload.id, tenant=upload.tenant, offset=None)
    try:
        complete(database, storage, held, held.grown, None)
    except BaseException:
        rows.unlock(database, held)
        raise
    return rows.get(database, upload.id, tenant=upload.tenant)


def _sha256(storage: Storage, key: str, size: int) -> str:
    digest = hashlib.sha256()
    for piece in storage.read(key, 0, size) if size else ():
        digest.update(piece)
    return digest.hexdigest()
