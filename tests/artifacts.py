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
    """Whether `path` is still to be made; until the end of the block no other process makes it.

    Whoever makes it writes to another name and renames, so that half of it is never taken for the whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f"{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield not path.exists()
