"""A file that grows over many requests, possibly in several processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from common.errors import SourceNotFound, UploadLocked
from common.storage import failures
from common.storage.protocol import PartialObject

T = TypeVar("T")
# How often in a row concurrent deletions may remove a directory between two system calls.
MOST_REMOVALS = 100


class LocalAppender:
    """See `Appender`.

    The kernel releases the lock on the file with its holder, even if that is killed; a holder that was only frozen
    keeps it, so that it cannot write concurrently with the next one.
    """

    def __init__(self, path: Path, size: int) -> None:
        with failures.of_directories():
            self._file = in_directory(
                path.parent, lambda: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            )
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
        """Sync the bytes: data acknowledged to a client survives a power failure."""
        with failures.of_directories():
            os.fdatasync(self._file)
        return PartialObject(self._size)

    def safe(self) -> PartialObject:
        """Do the same as `keep`."""
        return self.keep(last=False)

    def close(self) -> None:
        """Close the file, which releases the lock."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def in_directory(directory: Path, create: Callable[[], T]) -> T:
    """Return `create()`, which adds an entry to `directory`, made if it is missing.

    A concurrent `delete` removes directories that are empty: during `mkdir`, which then raises either error, or
    between `mkdir` and `create`. Both are repeated; an error that does not go away has another cause and is raised.
    """
    for _ in range(MOST_REMOVALS):
        with suppress(FileExistsError, FileNotFoundError):
            directory.mkdir(parents=True, exist_ok=True)
            return create()
    directory.mkdir(parents=True, exist_ok=True)
    return create()


def sync_directory(path: Path) -> None:
    """Sync a directory, so that its entries survive a power failure."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
