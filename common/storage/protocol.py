"""What every storage can do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


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


class Storage(Protocol):
    """Objects under keys such as `audio/0197…/upload`. Thread-safe."""

    def writer(self, key: str) -> Writer:
        """Begin an object. Raises StorageUnavailable."""

    def fetch(self, key: str, scratch: Path) -> Path:
        """A local file with the object's bytes, in `scratch` unless the storage has one itself.

        The caller deletes what lies in `scratch`, and nothing else. Raises SourceNotFound,
        StorageUnavailable.
        """

    def delete(self, key: str) -> None:
        """Delete an object; fine where there is none. Raises StorageUnavailable."""

    def delete_all(self, prefix: str) -> None:
        """Delete every object whose key begins so. Raises StorageUnavailable."""

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Keys that begin so, with the time of the last change. Raises StorageUnavailable."""

    def delete_unfinished(self, before: datetime) -> int:
        """Forget what was begun before then and neither committed nor aborted; returns how many.

        Raises StorageUnavailable.
        """

    def check(self) -> None:
        """Write, read and delete a small object. Raises StorageFull, StorageUnavailable."""
