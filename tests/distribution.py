"""How the tests are dealt out to the workers of pytest-xdist (`-n 2`): by file, the longest folders first.

Each worker has servers of its own: the fixtures of a session are its own, and every server takes a free port and a
temporary directory. A file stays in one worker, which makes its fixtures once.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Fixtures of the whole folder start many processes: one worker takes all of its files.
WHOLE_FOLDERS = ("tests/e2e/console/", "tests/faults/")
# What is begun last should be short, so that the workers end at about the same time.
LONGEST_FIRST = (*WHOLE_FOLDERS, "tests/e2e/", "tests/deploy/", "tests/api/", "tests/db/", "tests/engine/")


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """A file is dealt out as a whole, and so is a folder whose files share servers."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        config.option.loadscopereorder = False  # `longest_first` has put them in order
        super().__init__(config, log)

    def _split_scope(self, nodeid: str) -> str:
        folder = next((folder for folder in WHOLE_FOLDERS if nodeid.startswith(folder)), None)
        return folder or nodeid.partition("::")[0]


def longest_first(items: list[pytest.Item]) -> None:
    """Put the tests in the order in which they are dealt out."""

    def rank(item: pytest.Item) -> int:
        folders = [number for number, folder in enumerate(LONGEST_FIRST) if item.nodeid.startswith(folder)]
        return folders[0] if folders else len(LONGEST_FIRST)

    items.sort(key=rank)
