"""Storage as files in a directory shared by the API and the workers."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from common.errors import SourceNotFound, StorageUnavailable
from common.storage import failures
from common.storage.local_appender import LocalAppender, in_directory, sync_directory
from common.storage.protocol import PartialObject, Reserve, Stored

# Beside the objects, so that a rename makes them visible atomically; never listed as an object.
INCOMING = ".incoming"
READ_BYTES = 256 * 1024
GONE = "the audio is no longer in the storage"


def _files_below(directory: Path) -> Iterator[Path]:
    """Yield the files below a directory; what is deleted in the meantime is left out."""

    def fail(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise error

    for parent, _, names in os.walk(directory, onerror=fail):
        yield from (Path(parent) / name for name in names)


class LocalStorage:
    """See `Storage`. An object is written elsewhere, synced, and then renamed into place."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    def writer(self, key: str) -> LocalWriter:
        """Start writing an object."""
        with failures.of_directories():
            incoming = self.root / INCOMING
            incoming.mkdir(parents=True, exist_ok=True)
            return LocalWriter(incoming / uuid.uuid4().hex, self._path(key))

    def appender(self, key: str, grown: PartialObject, *, reserve: Reserve, part_bytes: int) -> LocalAppender:  # noqa: ARG002
        """Continue an object: the file under its final name, which nobody reads before it is complete."""
        return LocalAppender(self._path(key), grown.size)

    def finish(self, key: str, grown: PartialObject) -> None:
        """Check that the file is complete; `keep` has already synced it."""
        if self.size(key) != grown.size:
            raise StorageUnavailable("the storage directory lost bytes of an upload")

    def discard(self, key: str, grown: PartialObject) -> None:  # noqa: ARG002
        """Delete the file."""
        self.delete(key)

    def direct(self) -> None:
        """Return None: a directory has no direct uploads."""
        return

    def size(self, key: str) -> int:
        """Return the file's size."""
        with failures.of_directories():
            return self._status(key).st_size

    def read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`."""
        with failures.of_directories(), self._open(key) as file:
            file.seek(start)
            left = end - start
            while left > 0 and (piece := file.read(min(left, READ_BYTES))):
                left -= len(piece)
                yield piece

    def fetch(self, key: str, scratch: Path) -> Path:  # noqa: ARG002 (part of the protocol)
        """Return the object's own file; nothing is copied."""
        with failures.of_directories():
            self._status(key)
        return self._path(key)

    def delete(self, key: str) -> None:
        """Delete an object and any directories left empty."""
        with failures.of_directories():
            path = self._path(key)
            path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty, or already gone
                path.parent.rmdir()

    def delete_all(self, prefix: str) -> None:
        """Delete every object whose key has this prefix."""
        for key, _ in list(self.keys(prefix)):
            self.delete(key)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[tuple[str, datetime]]:
        """Yield the keys with this prefix that sort after `after`; uploads in progress are not listed."""
        directory = self._path(prefix.rpartition("/")[0])
        with failures.of_directories():
            relative = sorted(path.relative_to(self.root).as_posix() for path in _files_below(directory))
        for key in relative:
            if key.startswith(prefix) and key > after and not key.startswith(INCOMING):
                try:
                    with failures.of_directories():
                        status = self._status(key)
                except SourceNotFound:  # deleted in the meantime
                    continue
                yield key, datetime.fromtimestamp(status.st_mtime, UTC)

    def delete_unfinished(self, before: datetime, keep: Callable[[str], bool]) -> int:  # noqa: ARG002
        """Delete partial files left behind by killed processes."""
        deleted = 0
        with failures.of_directories():
            for path in (self.root / INCOMING).glob("*"):
                with suppress(FileNotFoundError):  # its writer has just moved it into place
                    if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before:
                        path.unlink()
                        deleted += 1
        return deleted

    def check(self) -> None:
        """Write, read and delete a small object."""
        key = f"check/{uuid.uuid4().hex}"
        writer = self.writer(key)
        writer.write(b"paraqueue")
        writer.commit()
        with failures.of_directories():
            intact = self._path(key).read_bytes() == b"paraqueue"
        self.delete(key)
        if not intact:
            raise StorageUnavailable("the storage directory does not return what was written")

    def _status(self, key: str) -> os.stat_result:
        """Return the status of an object's file; raise `SourceNotFound` if there is none."""
        try:
            status = self._path(key).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise SourceNotFound(GONE) from None
        if not stat.S_ISREG(status.st_mode):
            raise SourceNotFound(GONE)
        return status

    def _open(self, key: str) -> io.FileIO:
        self._status(key)
        try:
            return self._path(key).open("rb", buffering=0)
        except FileNotFoundError:
            raise SourceNotFound(GONE) from None

    def _path(self, key: str) -> Path:
        path = Path(os.path.normpath(self.root / key))
        if not path.is_relative_to(self.root):
            raise ValueError(f"the key {key!r} leads out of the storage")
        return path


class LocalWriter:
    """See `Writer`."""

    def __init__(self, incoming: Path, target: Path) -> None:
        self._incoming = incoming
        self._target = target
        self._file = incoming.open("wb", buffering=0)
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, data: bytes) -> None:
        """Append."""
        with failures.of_directories():
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        self._hash.update(data)
        self._size += len(data)

    def commit(self) -> Stored:
        """Sync the bytes, then the directory entry, so that an accepted upload survives a power failure."""
        with failures.of_directories():
            os.fsync(self._file.fileno())
            self._file.close()
            in_directory(self._target.parent, lambda: self._incoming.rename(self._target))
            sync_directory(self._target.parent)
        return Stored(self._size, self._hash.hexdigest())

    def abort(self) -> None:
        """Discard what was written."""
        self._file.close()
        self._incoming.unlink(missing_ok=True)
