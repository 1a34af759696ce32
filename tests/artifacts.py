"""What takes long to make and is the same each time: recordings and wheels, kept between sessions.

The directory is shared by all pytest processes of the checkout, which may run side by side.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev.stack import REPOSITORY

ARTIFACTS = REPOSITORY / ".cache" / "tests"


@contextmanager
def making(path: Path) -> Iterator[bool]:
    """Return whether `path` must be created; until the end of the block no other process creates it.

    The creator writes to another name and renames, so that a partial file is never used.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not path.exists()
