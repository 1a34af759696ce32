"""A directory for the files a worker is working on, gone with the worker, also when it was killed.

Each worker holds a lock on its own directory. The kernel lets go of the lock however the process ends, so the
next worker that starts can tell the directories of the dead from those of the living.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ConfigurationError
from common.telemetry import get_logger

LOCK = "lock"
log = get_logger(__name__)


@contextmanager
def scratch_directory(parent: Path, worker: str) -> Iterator[Path]:
    """A directory of this worker's own below `parent`; what dead workers left there is deleted first.

    Raises ConfigurationError where `parent` cannot be written to.
    """
    own = parent / worker
    try:
        own.mkdir(parents=True)
        lock = (own / LOCK).open("wb")
    except OSError as error:
        raise ConfigurationError(f"PARAQUEUE_SCRATCH_DIR: {parent}: {error.strerror}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _delete_left_behind(parent, own)
        try:
            yield own
        finally:
            shutil.rmtree(own, ignore_errors=True)


def _delete_left_behind(parent: Path, own: Path) -> None:
    for path in parent.iterdir():
        if path != own and path.is_dir() and not _is_held(path / LOCK):
            shutil.rmtree(path, ignore_errors=True)
            log.info("scratch_deleted", directory=path.name)


def _is_held(lock: Path) -> bool:
    """Whether a living worker holds the lock; a worker that is just starting has not made its lock yet."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return _is_young(lock.parent)
    return False


def _is_young(directory: Path) -> bool:
    """Whether a directory without a lock may belong to a worker that starts this very minute."""
    try:
        return time.time() - directory.stat().st_mtime < 60
    except FileNotFoundError:
        return True
