"""A file that grows over many requests, maybe through many processes."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from common.errors import SourceNotFound, UploadLocked
from common.storage import failures
from common.storage.protocol import PartialObject


class LocalAppender:
    """See `Appender`. The kernel's lock on the file goes with its holder, also when that is killed; and a holder
    that was only frozen keeps it, so that it cannot write behind the back of the next one."""

    def __init__(self, path: Path, size: int) -> None:
        with failures.of_directories():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._open_at(path, size)
        except BaseException:
            self.close()
            raise
        self._size = size

    def _open_at(self, path: Path, size: int) -> None:
        with failures.of_directories():
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UploadLocked("another request is writing to this upload") from None
            if os.fstat(self._file).st_size < size:
                raise SourceNotFound("the storage lost bytes of this upload; start a new one")
            os.ftruncate(self._file, size)
            os.lseek(self._file, size, os.SEEK_SET)
            if size == 0:
                sync_directory(path.parent)

    def write(self, data: bytes) -> None:
        """Append."""
        with failures.of_directories():
            view = memoryview(data)
            while view:
                view = view[os.write(self._file, view) :]
        self._size += len(data)

    def keep(self, *, last: bool) -> PartialObject:  # noqa: ARG002 (part of the protocol)
        """Sync the bytes: what is promised to a client survives a power cut."""
        with failures.of_directories():
            os.fdatasync(self._file)
        return PartialObject(self._size)

    def safe(self) -> PartialObject:
        """The same."""
        return self.keep(last=False)

    def close(self) -> None:
        """Close the file, and the lock with it."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def sync_directory(path: Path) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
