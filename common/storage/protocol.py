"""What every storage can do."""

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
    """What was written: its size in bytes and its SHA-256 in hexadecimal."""

    size: int
    sha256: str


class Writer(Protocol):
    """Writes one object in order. Nothing can be seen under its key before `commit`."""

    def write(self, data: bytes) -> None:
        """Append. Raises StorageFull, StorageUnavailable."""

    def commit(self) -> Stored:
        """Make the object visible and durable. Raises StorageFull, StorageUnavailable."""

    def abort(self) -> None:
        """Forget what was written; fine after `commit` or a failure, when it does nothing."""


@dataclass(frozen=True, slots=True)
class PartialObject:
    """What is safe of an object that grows: all that another process needs to go on with it.

    size: of what is safe, in bytes. The rest is for S3: its multipart upload, the parts in their order, and the
    key of the object with the bytes behind the last part.
    """

    size: int = 0
    upload_id: str | None = None
    parts: tuple[SentPart, ...] = ()
    tail: str | None = None


# Gives a part number that is greater than all that were given before; raises where the object is not ours any more.
Reserve = Callable[[], int]


class Appender(Protocol):
    """Appends to an object that is not complete yet, from the end of what is safe on. One thread at a time."""

    def write(self, data: bytes) -> None:
        """Append. Raises StorageFull, StorageUnavailable."""

    def keep(self, *, last: bool) -> PartialObject:
        """Make safe all that was written, and say what is; `last`: nothing follows.

        Raises StorageFull, StorageUnavailable.
        """

    def safe(self) -> PartialObject:
        """Make safe what costs little: all on a directory, whole parts on S3. Raises as `keep`."""

    def close(self) -> None:
        """Let go of it. What is not safe may be lost."""


class Storage(Protocol):
    """Objects under keys such as `audio/0197…/upload`. Thread-safe."""

    def writer(self, key: str) -> Writer:
        """Begin an object. Raises StorageUnavailable."""

    def appender(self, key: str, grown: PartialObject, *, reserve: Reserve, part_bytes: int) -> Appender:
        """Begin to grow an object, or go on with it; what lies behind its safe end is cut off.

        Raises UploadLocked where somebody else holds it, SourceNotFound, StorageUnavailable.
        """

    def finish(self, key: str, grown: PartialObject) -> None:
        """Make an object of what has grown. May be called again. Raises SourceNotFound, StorageUnavailable."""

    def discard(self, key: str, grown: PartialObject) -> None:
        """Delete what has grown, and all beside it. Raises StorageUnavailable."""

    def direct(self) -> Direct | None:
        """Uploads that do not pass through us; None where the storage has no such thing."""

    def size(self, key: str) -> int:
        """An object's size in bytes. Raises SourceNotFound, StorageUnavailable."""

    def read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in pieces. Raises SourceNotFound, StorageUnavailable."""

    def fetch(self, key: str, scratch: Path) -> Path:
        """A local file with the object's bytes, in `scratch` unless the storage has one itself.

        The caller deletes what lies in `scratch`, and nothing else. Raises SourceNotFound,
        StorageUnavailable.
        """

    def delete(self, key: str) -> None:
        """Delete an object; fine where there is none. Raises StorageUnavailable."""

    def delete_all(self, prefix: str) -> None:
        """Delete every object whose key begins so. Raises StorageUnavailable."""

    def keys(self, prefix: str, *, after: str = "") -> Iterator[tuple[str, datetime]]:
        """Keys that begin so and come after that one, in order, with the time of the last change.

        Raises StorageUnavailable.
        """

    def delete_unfinished(self, before: datetime, keep: Callable[[str], bool]) -> int:
        """Forget what was begun before then and neither committed nor aborted; returns how many.

        What `keep` says yes to, given its key, stays: an object that grows may do so for days.

        Raises StorageUnavailable.
        """

    def check(self) -> None:
        """Write, read and delete a small object. Raises StorageFull, StorageUnavailable."""
