"""The frozen values that stand for rows outside of `common.uploads`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from common import ids
from common.models import UploadPartRow, UploadRow
from common.storage import PartialObject, SentPart


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload. `received` bytes of `length` are safe; the length may be unknown as yet."""

    id: uuid.UUID
    tenant: str
    direct: bool
    name: str | None
    metadata: str | None
    length: int | None
    received: int
    sha256: str | None
    part_bytes: int
    created_at: datetime
    expires_at: datetime
    completed_at: datetime | None
    used_at: datetime | None

    @property
    def public_id(self) -> str:
        """The id as clients know it."""
        return ids.shown(ids.UPLOAD, self.id)

    @property
    def whole(self) -> bool:
        """Whether all bytes are safe; the object may still have to be made of them."""
        return self.received == self.length and not self.direct


@dataclass(frozen=True, slots=True)
class UploadLock:
    """An upload that its holder alone may write to, as long as it renews the lock."""

    upload: Upload
    token: uuid.UUID
    grown: PartialObject


def upload_of(row: UploadRow) -> Upload:
    """The value of a row."""
    return Upload(
        id=row.id,
        tenant=row.tenant,
        direct=row.direct,
        name=row.name,
        metadata=row.metadata_text,
        length=row.length,
        received=row.received,
        sha256=row.sha256,
        part_bytes=row.part_bytes,
        created_at=row.created_at,
        expires_at=row.expires_at,
        completed_at=row.completed_at,
        used_at=row.used_at,
    )


def partial_object_of(row: UploadRow, parts: Iterable[UploadPartRow]) -> PartialObject:
    """What storage needs to go on with the upload; the parts in their order."""
    sent = tuple(SentPart(part.number, part.size, part.etag) for part in parts)
    return PartialObject(row.received, row.multipart_id, sent, row.tail)
