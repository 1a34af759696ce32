"""Resumable uploads (tus 1.0): after an interruption they continue where they stopped, even in another process."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Protocol

from paraqueue.audio_sources import CHUNK_BYTES, AudioSource, Readable, readable
from paraqueue.errors import ApiError, NotFound, ParaqueueError
from paraqueue.exchange import Call, Operation, Send, request

TUS = {"Tus-Resumable": "1.0.0"}
WRONG_OFFSET, LOCKED = 409, 423
GONE = {404, 410}
# Consecutive "wrong offset" or "locked by another writer" responses that count as a defect.
CONFUSIONS = 20
OnUpload = Callable[[int, int], None]
"""Called with the bytes that have arrived, and all bytes."""


class UploadMemory(Protocol):
    """Stores unfinished uploads; `file` identifies one version of one file."""

    def recall(self, file: str) -> str | None:
        """The unfinished upload of a file, or None."""

    def remember(self, file: str, upload_id: str) -> None:
        """Record that an upload has begun."""

    def forget(self, file: str) -> None:
        """Remove an upload that is finished or no longer exists."""


def upload(
    source: AudioSource,
    *,
    name: str | None = None,
    on_upload: OnUpload | None = None,
    memory: UploadMemory | None = None,
) -> Operation[str]:
    """Upload audio; returns the id to submit. Raises OSError, ApiError, ConnectionFailed."""
    file: Readable = yield Call(lambda: readable(source, name))
    upload_id, offset = yield from _begun(file, memory)
    confusions = 0
    while offset < file.size:
        if on_upload:
            on_upload(offset, file.size)
        chunk = yield Call(partial(file.read, offset, CHUNK_BYTES))
        if not chunk:
            raise ParaqueueError(f"{file.name} was truncated during the upload")
        try:
            offset = yield from _send(upload_id, offset, chunk)
            confusions = 0
        except ApiError as error:
            # Left by an earlier, broken request: query the offset of the service and continue from there.
            confusions += 1
            if error.status not in {WRONG_OFFSET, LOCKED} or confusions == CONFUSIONS:
                raise
            offset = yield from _offset(upload_id)
    if on_upload:
        on_upload(file.size, file.size)
    if memory and file.identity:
        memory.forget(file.identity)
    return upload_id


def _begun(file: Readable, memory: UploadMemory | None) -> Operation[tuple[str, int]]:
    known = memory.recall(file.identity) if memory and file.identity else None
    if known is not None:
        try:
            return known, (yield from _offset(known))
        except ApiError as error:
            if error.status not in GONE:
                raise
    name = base64.b64encode(file.name.encode()).decode()
    headers = {**TUS, "Upload-Length": str(file.size), "Upload-Metadata": f"filename {name}"}
    answer = yield from request(Send("POST", "/v1/uploads", headers=headers))
    upload_id = answer.headers["Location"].rstrip("/").rpartition("/")[2]
    if memory and file.identity:
        memory.remember(file.identity, upload_id)
    return upload_id, 0


def _send(upload_id: str, offset: int, chunk: bytes) -> Operation[int]:
    headers = {**TUS, "Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    answer = yield from request(Send("PATCH", f"/v1/uploads/{upload_id}", headers=headers, content=chunk))
    return int(answer.headers["Upload-Offset"])


def _offset(upload_id: str) -> Operation[int]:
    try:
        answer = yield from request(Send("HEAD", f"/v1/uploads/{upload_id}", headers=TUS))
    except NotFound as error:
        # A HEAD response has no body, so the meaning of the status is given here.
        raise NotFound(
            error.status, "upload_not_found", f"there is no upload {upload_id}", retryable=False, request_id=None
        ) from None
    return int(answer.headers["Upload-Offset"])
