"""The rows of uploads. Every change is one UPDATE that names the lock, or the state, that it expects."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.orm import Session

from common import audio_keys, ids
from common.db import Database
from common.db.leases import from_now, is_over
from common.errors import Expired, InvalidRequest, OffsetMismatch, QuotaExceeded, UploadLocked, WrongState
from common.models import UploadPartRow, UploadRow
from common.storage import PartialObject, Storage
from common.time_limit import TimeLimit
from common.uploads.upload import Upload, UploadLock, partial_object_of, upload_of

# A holder that has not renewed its lock for this long is dead; a live one renews every few seconds.
LOCK_SECONDS = 8.0
AT_A_TIME = 100
ROOM_AGAIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Room:
    """How many uploads of a tenant may be open, and how many bytes they may announce together; 0 is no limit.

    One that does not say its length counts as `largest_bytes`.
    """

    uploads: int = 0
    bytes: int = 0
    largest_bytes: int = 0


NO_BOUNDS = Room()


def _free() -> ColumnElement[bool]:
    return or_(UploadRow.lock_token.is_(None), is_over(UploadRow.lock_expires_at))


def create(
    database: Database,
    *,
    tenant: str,
    length: int | None,
    name: str | None,
    metadata: str | None,
    part_bytes: int,
    retention_seconds: float,
    key_id: uuid.UUID | None = None,
    direct: bool = False,
    multipart_id: str | None = None,
    upload_id: uuid.UUID | None = None,
    room: Room = NO_BOUNDS,
) -> Upload:
    """A new, empty upload. `direct`: the bytes go to the object store without us.

    Raises QuotaExceeded where the tenant has no room for it.
    """
    with database.transaction() as session:
        _check_room(session, tenant, length, room)
        row = UploadRow(
            id=upload_id or ids.new_id(),
            tenant=tenant,
            key_id=key_id,
            direct=direct,
            name=name,
            metadata_text=metadata,
            length=length,
            part_bytes=part_bytes,
            multipart_id=multipart_id,
            expires_at=from_now(retention_seconds),
        )
        session.add(row)
        session.flush()
        session.refresh(row)
        return upload_of(row)


def _check_room(session: Session, tenant: str, length: int | None, room: Room) -> None:
    """Serialise the creation of a tenant's uploads, so that together they cannot exceed the limit."""
    if not room.uploads and not room.bytes:
        return
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"uploads/{tenant}", 0))))
    size = func.coalesce(UploadRow.length, room.largest_bytes)
    is_open = (UploadRow.tenant == tenant) & UploadRow.used_at.is_(None) & (UploadRow.expires_at > func.now())
    number, announced = session.execute(select(func.count(), func.coalesce(func.sum(size), 0)).where(is_open)).one()
    if room.uploads and number >= room.uploads:
        message = f"the tenant has {number} uploads that are not finished or not used, and may have {room.uploads}"
        raise QuotaExceeded(message, ROOM_AGAIN_SECONDS)
    if room.bytes and announced + (room.largest_bytes if length is None else length) > room.bytes:
        message = f"the open uploads of the tenant announce {announced} bytes, and may announce {room.bytes} together"
        raise QuotaExceeded(message, ROOM_AGAIN_SECONDS)


def ensure_room(database: Database, tenant: str, length: int | None, room: Room) -> None:
    """Raise QuotaExceeded where the tenant has no room for one more upload."""
    with database.transaction() as session:
        _check_room(session, tenant, length, room)


def get(database: Database, upload_id: uuid.UUID, *, tenant: str) -> Upload:
    """One upload. Raises NotFound, also for another tenant's; Expired."""
    with database.transaction() as session:
        return upload_of(_existing(session, upload_id, tenant))


def lock(
    database: Database, upload_id: uuid.UUID, *, tenant: str, offset: int | None, length: int | None = None
) -> UploadLock:
    """Acquire the lock of an upload at `offset` (None: any), and set its length if it is unknown.

    Never waits. Raises NotFound, Expired, WrongState, OffsetMismatch, InvalidRequest, UploadLocked.
    """
    token = uuid.uuid4()
    wanted = (
        update(UploadRow)
        .where(UploadRow.id == upload_id, UploadRow.tenant == tenant, UploadRow.expires_at > func.now())
        .where(UploadRow.used_at.is_(None), _free())
        .values(lock_token=token, lock_expires_at=from_now(LOCK_SECONDS))
    )
    if offset is not None:
        wanted = wanted.where(UploadRow.received == offset, UploadRow.completed_at.is_(None), ~UploadRow.direct)
    if length is not None:
        same = or_(UploadRow.length.is_(None), UploadRow.length == length)
        wanted = wanted.where(same, UploadRow.received <= length).values(length=length)
    with database.transaction() as session:
        row = session.scalars(wanted.returning(UploadRow)).one_or_none()
        if row is None:
            raise _why_not(_existing(session, upload_id, tenant), offset, length)
        return UploadLock(upload_of(row), token, partial_object_of(row, _parts(session, upload_id)))


def _why_not(row: UploadRow, offset: int | None, length: int | None = None) -> Exception:
    if row.used_at is not None:
        return WrongState(f"a transcription was made of this upload: {ids.shown(ids.JOB, row.id)}")
    if offset is not None and row.direct:
        return WrongState("the bytes of this upload go to the object store, not here")
    if row.lock_token is not None:
        return UploadLocked("another request is writing to this upload")
    if offset is not None and row.received != offset:
        return OffsetMismatch(f"the upload stands at {row.received}, not at {offset}")
    if row.completed_at is not None:
        return WrongState("the upload is complete")
    if length is not None and (row.length not in (None, length) or row.received > length):
        return InvalidRequest("`Upload-Length` is not the length that was announced, or less than what came already")
    return UploadLocked("another request wrote to this upload a moment ago")


def reserve_part(database: Database, held: UploadLock) -> int:
    """Return an unused part number and renew the lock. Raises UploadLocked if the lock was lost."""
    with database.transaction() as session:
        number = session.scalar(
            _of(held)
            .values(next_part=UploadRow.next_part + 1, lock_expires_at=from_now(LOCK_SECONDS))
            .returning(UploadRow.next_part - 1)
        )
        if number is None:
            raise _lost()
        return int(number)


def renew(database: Database, held: UploadLock) -> None:
    """Keep the lock. Raises UploadLocked where that was lost."""
    with database.transaction() as session:
        _change(session, held, lock_expires_at=from_now(LOCK_SECONDS))


def commit(
    database: Database, held: UploadLock, grown: PartialObject, *, known_parts: int, retention_seconds: float
) -> None:
    """Commit `grown` as the received state; keeps the lock. Raises UploadLocked if the lock was lost."""
    with database.transaction() as session:
        _change(
            session,
            held,
            received=grown.size,
            multipart_id=grown.upload_id,
            tail=grown.tail,
            lock_expires_at=from_now(LOCK_SECONDS),
            expires_at=from_now(retention_seconds),
        )
        for part in grown.parts[known_parts:]:
            session.add(UploadPartRow(upload_id=held.upload.id, number=part.number, size=part.size, etag=part.etag))


def complete(database: Database, held: UploadLock, sha256: str | None) -> None:
    """All bytes are one object. Gives the lock back. Raises UploadLocked where that was lost."""
    with database.transaction() as session:
        _change(session, held, completed_at=func.now(), sha256=sha256, tail=None, **_UNLOCKED)


def unlock(database: Database, held: UploadLock) -> None:
    """Give the lock back; fine where it was lost."""
    with database.transaction() as session:
        session.execute(_of(held).values(**_UNLOCKED))


_UNLOCKED: dict[str, Any] = {"lock_token": None, "lock_expires_at": None}


def remove(database: Database, storage: Storage, upload_id: uuid.UUID, *, tenant: str) -> None:
    """Delete an upload with its bytes. Raises NotFound, Expired, WrongState for one that is used, UploadLocked."""
    held = lock(database, upload_id, tenant=tenant, offset=None)
    with database.transaction() as session:
        removed = delete(UploadRow).where(UploadRow.id == upload_id, UploadRow.lock_token == held.token)
        if session.scalar(removed.returning(UploadRow.id)) is None:
            raise _lost()
    storage.discard(audio_keys.upload(upload_id), held.grown)


def expire(database: Database, storage: Storage, limit: TimeLimit) -> int:
    """Delete expired uploads, with their bytes unless a job uses them, and return their number.

    Bytes that remain because the storage fails are later deleted as orphans.
    """

    def some() -> int:
        due = _take_due(database)
        for upload, grown in due:
            if upload.used_at is None:
                storage.discard(audio_keys.upload(upload.id), grown)
        return len(due)

    return limit.until_done(some)


def _take_due(database: Database) -> list[tuple[Upload, PartialObject]]:
    due = (
        select(UploadRow)
        .where(is_over(UploadRow.expires_at), _free())
        .limit(AT_A_TIME)
        .with_for_update(skip_locked=True)
    )
    with database.transaction() as session:
        expired = [
            (upload_of(row), partial_object_of(row, _parts(session, row.id))) for row in session.scalars(due).all()
        ]
        session.execute(delete(UploadRow).where(UploadRow.id.in_([upload.id for upload, _ in expired])))
        return expired


def consume(session: Session, upload_id: uuid.UUID, *, tenant: str) -> None:
    """Mark the upload as used, in the transaction that creates its job. Raises NotFound, Expired, WrongState."""
    used = session.scalar(
        update(UploadRow)
        .where(UploadRow.id == upload_id, UploadRow.tenant == tenant)
        .where(UploadRow.completed_at.is_not(None), UploadRow.used_at.is_(None))
        .values(used_at=func.now())
        .returning(UploadRow.id)
    )
    if used is None:
        row = _existing(session, upload_id, tenant)
        if row.used_at is not None:
            raise _why_not(row, None)
        raise WrongState("the upload is incomplete")


def forget(session: Session, upload_id: uuid.UUID) -> None:
    """Delete the file name, in the transaction that deletes the upload's job."""
    session.execute(delete(UploadRow).where(UploadRow.id == upload_id, UploadRow.used_at.is_not(None)))


def live(session: Session, upload_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Return those of these ids that belong to uploads not yet used for a job."""
    return set(session.scalars(select(UploadRow.id).where(UploadRow.id.in_(upload_ids), UploadRow.used_at.is_(None))))


def _existing(session: Session, upload_id: uuid.UUID, tenant: str) -> UploadRow:
    row = session.scalars(select(UploadRow).where(UploadRow.id == upload_id)).one_or_none()
    if row is None or row.tenant != tenant:
        raise ids.missing(ids.UPLOAD, upload_id)
    now = session.scalar(select(func.now()))
    if now is None or row.expires_at <= now:
        raise Expired("the upload expired before it was completed or used")
    return row


def _parts(session: Session, upload_id: uuid.UUID) -> list[UploadPartRow]:
    ordered = select(UploadPartRow).where(UploadPartRow.upload_id == upload_id).order_by(UploadPartRow.number)
    return list(session.scalars(ordered))


def _of(held: UploadLock) -> Any:
    return update(UploadRow).where(UploadRow.id == held.upload.id, UploadRow.lock_token == held.token)


def _change(session: Session, held: UploadLock, **changes: Any) -> None:
    if session.scalar(_of(held).values(**changes).returning(UploadRow.id)) is None:
        raise _lost()


def _lost() -> UploadLocked:
    return UploadLocked("another request took this upload over")
