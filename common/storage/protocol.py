"""The interface of all storage back ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from common.storage.direct import Direct
from common.storage.parts import SentPart


@dataclass(frozen=True, slots=True)
class Stored:
    """A written object: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


class Writer(Protocol):
    """Writes one object sequentially; nothing is visible under its key before `commit`."""

    def write(self, data: bytes) -> None:
        """Append. Raises StorageFull, StorageUnavailable."""

    def commit(self) -> Stored:
        """Make the object visible and durable. Raises StorageFull, StorageUnavailable."""

    def abort(self) -> None:
        """Discard what was written; does nothing after `commit` or a failure."""


@dataclass(frozen=True, slots=True)
class PartialObject:
    """The durable state of a growing object: everything another process needs to continue it.

    `size` is the number of durable bytes. The other fields are for S3: the multipart upload, its parts in order, and
    the key of the object that holds the bytes after the last part.
    """

    size: int = 0
    upload_id: str | None = None
    parts: tuple[SentPart, ...] = ()
    tail: str | None = None


# Returns a part number greater than all earlier ones; raises if the lock on the upload was lost.
Reserve = Callable[[], int]


class Appender(Protocol):
    """Appends to an incomplete object, from the end of its durable bytes. Not thread-safe."""

    def write(self, data: bytes) -> None:
        """Append. Raises StorageFull, StorageUnavailable."""

    def keep(self, *, last: bool) -> PartialObject:
        """Make all written bytes durable and return the state; `last` means that nothing follows.

        Raises StorageFull, StorageUnavailable.
        """

    def safe(self) -> PartialObject:
        """Make durable what is cheap: everything in a directory, whole parts on S3. Raises like `keep`."""

    def close(self) -> None:
        """Release the object; bytes that are not durable may be lost."""


class Storage(Protocol):
    """Objects under keys such as `audio/0197…/upload`. Thread-safe."""

    def writer(self, key: str) -> Writer:
        """Start writing an object. Raises StorageUnavailable."""

    def appender(self, key: str, grown: PartialObject, *, reserve: Reserve, part_bytes: int) -> Appender:
        """Start or continue a growing object; anything after its durable end is truncated.

        Raises UploadLocked if another holder has it, SourceNotFound, StorageUnavailable.
        """

    def finish(self, key: str, grown: PartialObject) -> None:
        """Complete a grown object; may be repeated. Raises SourceNotFound, StorageUnavailable."""

    def discard(self, key: str, grown: PartialObject) -> None:
        """Delete a growing object and everything stored with it. Raises StorageUnavailable."""

    def direct(self) -> Direct | None:
        """Return the interface for uploads that bypass the service; None if the storage does not support them."""

    def size(self, key: str) -> int:
        """Return an object's size in bytes. Raises SourceNotFound, StorageUnavailable."""

    def read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`, in pieces.

        Raises SourceNotFound, StorageUnavailable.
        """

    def fetch(self, key: str, scratch: Path) -> Path:
        """Return a local file with the object's bytes, in `scratch` unless the storage has one itself.

        The caller deletes what is in `scratch`, and nothing else. Raises SourceNotFound, StorageUnavailable.
        """

    def delete(self, key: str) -> None:
        """Delete an object, if it exists. Raises StorageUnavailable."""

    def delete_all(self, prefix: str) -> None:
        """Delete every object whose key has this prefix. Raises StorageUnavailable."""

    def keys(self, prefix: str, *, after: str = "") -> Iterator[tuple[str, datetime]]:
        """Yield the keys with this prefix that sort after `after`, in order, with the time of the last change.

        Raises StorageUnavailable.
        """

    def delete_unfinished(self, before: datetime, keep: Callable[[str], bool]) -> int:
        """Delete writes started before `before` and neither committed nor aborted; returns how many.

        Keys for which `keep` returns true are spared, as a growing object may take days.

        Raises StorageUnavailable.
        """

    def check(self) -> None:
        """Write, read and delete a small object. Raises StorageFull, StorageUnavailable."""
