"""JavaScript clients, run by the Node of a wheel."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from dev.node import NODE, install

HERE = Path(__file__).parent


def node(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A script of this directory, with its packages installed as the lock file says."""
    install(HERE)
    return subprocess.Popen(
        [str(NODE), *arguments],
        cwd=HERE,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def package(path: str) -> Path:
    """A file of an installed package."""
    install(HERE)
    return HERE / "node_modules" / path
