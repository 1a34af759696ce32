"""Remembers unfinished uploads between runs of the command."""

from __future__ import annotations

import hashlib
from pathlib import Path

import platformdirs


class UploadFiles:
    """One small file per unfinished upload, so that concurrent commands do not interfere."""

    def __init__(self, url: str, place: Path | None = None) -> None:
        """`url` is the service's address: uploads are remembered per service."""
        self._url = url
        self._place = place or Path(platformdirs.user_state_dir("paraqueue")) / "uploads"

    def recall(self, file: str) -> str | None:
        """The unfinished upload of a file, if there is one."""
        try:
            return self._path(file).read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None

    def remember(self, file: str, upload_id: str) -> None:
        """Record that an upload has begun."""
        self._place.mkdir(parents=True, exist_ok=True)
        self._path(file).write_text(upload_id, encoding="ascii")

    def forget(self, file: str) -> None:
        """Remove a finished upload."""
        self._path(file).unlink(missing_ok=True)

    def _path(self, file: str) -> Path:
        return self._place / hashlib.sha256(f"{self._url}|{file}".encode()).hexdigest()
