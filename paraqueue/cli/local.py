"""Runs the engine on this computer, without a service."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from paraqueue.cli import exits
from paraqueue.errors import ConfigurationError

ENGINE = Path("worker") / "engine" / "__main__.py"


def transcribe_here(source: str, form: str, model: str | None) -> int:
    """Print the transcript of a file and return the exit status.

    The engine runs in a separate process, because it needs torch and the model, which this command does not. It is
    looked up beside this package in a checkout, or in the current directory.
    """
    with exits.reported():
        beside = Path(__file__).resolve().parents[2]
        checkout = next((place for place in (Path.cwd(), beside) if (place / ENGINE).exists()), None)
        if checkout is None:
            raise ConfigurationError("--local needs the engine: run this in a checkout of Paraqueue after `make venv`")
        if find_spec("torch") is None:
            raise ConfigurationError(
                f"--local needs torch, which {sys.executable} does not have: "
                "run .venv/bin/python -m paraqueue in the checkout"
            )
    command = [sys.executable, "-m", "worker.engine", str(Path(source).absolute()), "--format", form]
    command += ["--model", model] if model else []
    return subprocess.run(command, cwd=checkout, check=False).returncode
