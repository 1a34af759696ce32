"""Appending to an upload: the bytes of one request, written by one holder and committed as they arrive."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from common import audio_keys
from common.db import Database
from common.errors import ChecksumMismatch, ParaqueueError, UploadIncomplete, UploadTooLarge
from common.storage import Appender, PartialObject, Storage
from common.telemetry import get_logger
from common.uploads import rows, whole
from common.uploads.checksums import Checksum, Hashes
from common.uploads.upload import Upload, UploadLock

log = get_logger(__name__)
COMMIT_SECONDS = 1.0
COMMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Terms:
    """What one request declares about its bytes (`announced`: their number), and how many it may send."""

    tenant: str
    offset: int
    length: int | None
    checksum: Checksum | None
    max_bytes: int
    retention_seconds: float
    announced: int | None = None

    def check(self, offset: int, upload: Upload) -> None:
        """Raise UploadTooLarge if bytes up to `offset` exceed a limit."""
        end = self.max_bytes if upload.length is None else upload.length
        if offset > end:
            raise UploadTooLarge(f"the data exceeds the upload's length of {end} bytes")


def begin(database: Database, storage: Storage, hashes: Hashes, upload_id: uuid.UUID, terms: Terms) -> Append:
    """Lock the upload and continue it; call `end` or `break_off` afterwards. Raises like `rows.lock`, and Storage…."""
    held = rows.lock(database, upload_id, tenant=terms.tenant, offset=terms.offset, length=terms.length)
    try:
        terms.check(terms.offset + (terms.announced or 0), held.upload)
        appender = storage.appender(
            audio_keys.upload(upload_id),
            held.grown,
            reserve=lambda: rows.reserve_part(database, held),
            part_bytes=held.upload.part_bytes,
        )
    except BaseException:
        rows.unlock(database, held)
        raise
    return Append(database, storage, hashes, held, appender, terms)


class Append:
    """One writing request. Thread-safe; nothing more is written after a failed write or after the end."""

    def __init__(
        self, database: Database, storage: Storage, hashes: Hashes, held: UploadLock, appender: Appender, terms: Terms
    ) -> None:
        self._database = database
        self._storage = storage
        self._hashes = hashes
        self._held = held
        self._appender = appender
        self._terms = terms
        self._checksum = terms.checksum.hasher() if terms.checksum is not None else None
        self._hash: Any | None = hashes.take(held.upload.id, terms.offset)
        # A request with a checksum may have to be rolled back as a whole.
        self._hash_before = self._hash.copy() if self._hash is not None and self._checksum is not None else None
        self._grown = held.grown
        self._offset = terms.offset
        self._committed_at = time.monotonic()
        self._lock = threading.Lock()
        self._over = False

    def write(self, piece: bytes) -> None:
        """Append. Raises UploadTooLarge, Storage…, UploadLocked if the lock was lost."""
        with self._lock:
            if self._over:
                raise UploadIncomplete("the upload was interrupted")
            self._over = True
            self._write(piece)
            self._over = False

    def _write(self, piece: bytes) -> None:
        self._terms.check(self._offset + len(piece), self._held.upload)
        self._appender.write(piece)
        for hasher in (self._hash, self._checksum):
            if hasher is not None:
                hasher.update(piece)
        self._offset += len(piece)
        if self._offset - self._grown.size >= COMMIT_BYTES:
            self._commit_safe()
        else:
            self._tend()

    def tend(self) -> None:
        """Renew the lock and commit durable bytes once a second; also to be called while no bytes arrive."""
        with self._lock:
            if not self._over:
                self._tend()

    def _tend(self) -> None:
        if time.monotonic() - self._committed_at >= COMMIT_SECONDS:
            self._commit_safe()

    def end(self) -> Upload:
        """Finish after the last byte of the request. Raises ChecksumMismatch, Storage…, UploadLocked."""
        with self._lock:
            self._over = True
            last = self._keep_all()
        if last:
            self._complete()
        else:
            self._let_go()
        return rows.get(self._database, self._held.upload.id, tenant=self._terms.tenant)

    def _keep_all(self) -> bool:
        """Make all bytes durable; returns whether these were the last bytes of the upload."""
        try:
            if self._checksum is not None and self._terms.checksum is not None:
                if self._checksum.digest() != self._terms.checksum.digest:
                    raise ChecksumMismatch("the data does not match its checksum; send it again")
                self._checksum = None  # verified: from here on the bytes may be kept
            last = self._offset == self._held.upload.length
            self._commit(self._appender.keep(last=last))
        except BaseException:
            self._break_off()
            raise
        return last

    def break_off(self) -> None:
        """End a request that was cut off: the bytes received are kept, unless a checksum was to verify them."""
        with self._lock:
            self._over = True
            self._break_off()

    def _break_off(self) -> None:
        try:
            if self._checksum is None:
                self._commit(self._appender.keep(last=False))
        except ParaqueueError as error:
            log.warning("upload_not_kept", upload_id=self._held.upload.public_id, error_code=error.code)
        self._let_go()

    def _complete(self) -> None:
        self._appender.close()
        try:
            sha256 = self._hash.hexdigest() if self._hash is not None else None
            whole.complete(self._database, self._storage, self._held, self._grown, sha256)
        except BaseException:
            with suppress(ParaqueueError):
                rows.unlock(self._database, self._held)
            raise

    def _commit_safe(self) -> None:
        if self._checksum is None:
            self._commit(self._appender.safe())
        else:
            rows.renew(self._database, self._held)
            self._committed_at = time.monotonic()

    def _commit(self, grown: PartialObject) -> None:
        rows.commit(
            self._database,
            self._held,
            grown,
            known_parts=len(self._grown.parts),
            retention_seconds=self._terms.retention_seconds,
        )
        before, self._grown = self._grown, grown
        self._committed_at = time.monotonic()
        if before.tail is not None and before.tail != grown.tail:
            with suppress(ParaqueueError):  # it is under the job's prefix, so it is deleted with the job at the latest
                self._storage.delete(audio_keys.upload_tail(self._held.upload.id, before.tail))

    def _let_go(self) -> None:
        """Release the file before the lock: the next lock holder must find it free."""
        self._appender.close()
        upload_id = self._held.upload.id
        if self._grown.size == self._offset and self._hash is not None:
            self._hashes.put(upload_id, self._offset, self._hash)
        elif self._hash_before is not None:
            self._hashes.put(upload_id, self._terms.offset, self._hash_before)
        try:
            rows.unlock(self._database, self._held)
        except ParaqueueError as error:
            log.warning("upload_stays_locked", upload_id=self._held.upload.public_id, error_code=error.code)
