"""What can be uploaded: a file by its path, bytes, or an open file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from paraqueue.errors import ParaqueueError

CHUNK_BYTES = 16 * 1024 * 1024
# What cannot be read twice is kept until it is uploaded: in memory up to this size, then on disk.
MEMORY_BYTES = 4 * CHUNK_BYTES
LINKS = ("http://", "https://", "s3://", "oss://")
UNNAMED = "audio"

AudioSource = str | os.PathLike[str] | bytes | BinaryIO
"""A path, a link (http, https, s3, oss), the content of a file, or a file that is open for reading bytes."""


class Readable(Protocol):
    """Audio to upload. `identity` is that of one version of a file, None for what another process cannot continue."""

    @property
    def name(self) -> str:
        """The name that the service keeps."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def identity(self) -> str | None:
        """Identifies the file and its version, so that a changed file is a different one."""

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset`."""


@dataclass(frozen=True)
class LocalFile:
    """A file in the version that existed when the upload began."""

    path: Path
    size: int
    changed_ns: int
    name: str

    @property
    def identity(self) -> str:
        """Path, size and time of change."""
        return f"{self.path.resolve()}|{self.size}|{self.changed_ns}"

    def read(self, offset: int, size: int) -> bytes:
        """The next bytes."""
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(size)


@dataclass(frozen=True)
class OpenFile:
    """A file that the caller has opened, from its current position; the caller closes it."""

    file: BinaryIO
    start: int
    size: int
    name: str
    identity: None = None

    def read(self, offset: int, size: int) -> bytes:
        """The next bytes."""
        self.file.seek(self.start + offset)
        return self.file.read(size)


@dataclass(frozen=True)
class Content:
    """Bytes in memory."""

    content: bytes
    name: str
    identity: None = None

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.content)

    def read(self, offset: int, size: int) -> bytes:
        """The next bytes."""
        return self.content[offset : offset + size]


def is_link(source: AudioSource) -> bool:
    """Whether the source is a link for the service to fetch, not something to upload."""
    return isinstance(source, str) and source.lower().startswith(LINKS)


def readable(source: AudioSource, name: str | None) -> Readable:
    """Return the source as something to upload. Blocks. Raises OSError; ParaqueueError for a file opened as text."""
    if isinstance(source, bytes | bytearray | memoryview):
        return Content(bytes(source), name or UNNAMED)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        about = path.stat()
        return LocalFile(path, about.st_size, about.st_mtime_ns, name or path.name)
    return _opened(source, name)


def _opened(file: BinaryIO, name: str | None) -> OpenFile:
    given = getattr(file, "name", None)
    name = name or (Path(given).name if isinstance(given, str) else UNNAMED)
    if not isinstance(file.read(0), bytes):
        raise ParaqueueError("the file is open as text; open it with mode 'rb'")
    if not file.seekable():
        file = _kept(file)
    start = file.tell()
    return OpenFile(file, start, file.seek(0, os.SEEK_END) - start, name)


def _kept(file: BinaryIO) -> BinaryIO:
    """Return a copy that can be read again; it is gone with its last reference."""
    import tempfile

    copy = cast(BinaryIO, tempfile.SpooledTemporaryFile(MEMORY_BYTES))  # noqa: SIM115
    while chunk := file.read(1024 * 1024):
        copy.write(chunk)
    copy.seek(0)
    return copy
