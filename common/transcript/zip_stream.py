"""Zip archives that are written while they are sent, so that they are never whole in memory or on disk."""

from __future__ import annotations


class ZipSink:
    """A file that `zipfile.ZipFile` can write to and not seek in; what was written is taken out with `taken`.

    Sizes and checksums then follow the content of each member, as the format allows (APPNOTE 6.3.10, 4.4.4, bit 3).
    """

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        """Keep data until it is taken."""
        self._written += data
        return len(data)

    def close(self) -> None:
        """Do nothing: there is nothing behind this file."""

    def flush(self) -> None:
        """Do nothing: there is nothing behind this file."""

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        taken = bytes(self._written)
        self._written.clear()
        return taken
