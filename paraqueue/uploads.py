"""A file to the service, resumable (tus 1.0): after a break it goes on where it was, also in another process."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from paraqueue.errors import ApiError, NotFound, ParaqueueError
from paraqueue.exchange import Call, Operation, Send, request

CHUNK_BYTES = 16 * 1024 * 1024
TUS = {"Tus-Resumable": "1.0.0"}
WRONG_OFFSET, LOCKED = 409, 423
GONE = {404, 410}
# Answers "wrong offset" or "somebody else writes" in a row that are taken for a defect.
CONFUSIONS = 20
OnUpload = Callable[[int, int], None]
"""Called with the bytes that have arrived, and all bytes."""


class UploadMemory(Protocol):
    """Where unfinished uploads are remembered; `file` tells one file in one state from others."""

    def recall(self, file: str) -> str | None:
        """The upload of a file; None where there is none."""

    def remember(self, file: str, upload_id: str) -> None:
        """An upload has begun."""

    def forget(self, file: str) -> None:
        """It is finished or gone."""


@dataclass(frozen=True)
class LocalFile:
    """A file as it was when the upload began."""

    path: Path
    size: int
    changed_ns: int

    @property
    def identity(self) -> str:
        """Tells it from other files and from itself after a change."""
        return f"{self.path.resolve()}|{self.size}|{self.changed_ns}"

    def read(self, offset: int) -> bytes:
        """The next bytes."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)


def upload(path: Path, *, on_upload: OnUpload | None = None, memory: UploadMemory | None = None) -> Operation[str]:
    """Upload a file; the id to submit. Raises OSError, ApiError, ConnectionFailed."""
    file = yield Call(lambda: _file(path))
    upload_id, offset = yield from _begun(file, memory)
    confusions = 0
    while offset < file.size:
        if on_upload:
            on_upload(offset, file.size)
        chunk = yield Call(partial(file.read, offset))
        if not chunk:
            raise ParaqueueError(f"{path} was truncated during the upload")
        try:
            offset = yield from _send(upload_id, offset, chunk)
            confusions = 0
        except ApiError as error:
            # What an earlier, broken request left behind: ask where the service is, and go on from there.
            confusions += 1
            if error.status not in {WRONG_OFFSET, LOCKED} or confusions == CONFUSIONS:
                raise
            offset = yield from _offset(upload_id)
    if on_upload:
        on_upload(file.size, file.size)
    if memory:
        memory.forget(file.identity)
    return upload_id


def _file(path: Path) -> LocalFile:
    about = path.stat()
    return LocalFile(path, about.st_size, about.st_mtime_ns)


def _begun(file: LocalFile, memory: UploadMemory | None) -> Operation[tuple[str, int]]:
    known = memory.recall(file.identity) if memory else None
    if known is not None:
        try:
            return known, (yield from _offset(known))
        except ApiError as error:
            if error.status not in GONE:
                raise
    name = base64.b64encode(file.path.name.encode()).decode()
    headers = {**TUS, "Upload-Length": str(file.size), "Upload-Metadata": f"filename {name}"}
    answer = yield from request(Send("POST", "/v1/uploads", headers=headers))
    upload_id = answer.headers["Location"].rstrip("/").rpartition("/")[2]
    if memory:
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
        # A HEAD has no body: say what the bare status means here.
        raise NotFound(
            error.status, "upload_not_found", f"there is no upload {upload_id}", retryable=False, request_id=None
        ) from None
    return int(answer.headers["Upload-Offset"])
