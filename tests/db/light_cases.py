"""The real processes of light work. For the tests of light workers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from admin.roles import LIGHT
from common.settings import Settings
from dev.process import Child, spawn
from dev.stack import REPOSITORY
from tests.conftest import variables
from tests.roles import as_role


def start(name: str, settings: Settings, place: Path, *command: str) -> Child:
    """Start a Python module; a light worker has the rights of its own database role."""
    environment = dict(os.environ) | variables(settings)
    if command[0] == "worker.light":
        environment["PARAQUEUE_DATABASE_URL"] = as_role(environment["PARAQUEUE_DATABASE_URL"], LIGHT)
    return spawn(name, [sys.executable, "-m", *command], place / f"{name}.log", env=environment, cwd=REPOSITORY)
