"""The client as users install it: its wheel, from a folder of wheels, without an index, in a fresh environment."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

from dev.stack import REPOSITORY
from tests.artifacts import ARTIFACTS, making


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """A program with its output as text; how it ended is for the caller to look at."""
    values = {"capture_output": True, "text": True, "timeout": 600, "check": False} | options
    return subprocess.run([str(word) for word in command], **values)  # type: ignore[call-overload, no-any-return]


def make_wheelhouse(place: Path) -> Path:
    """A folder with the client's wheel, made now, and those of all that it needs, in the pinned versions.

    The latter are fetched once and kept.
    """
    source, house = place / "source", place / "wheelhouse"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "paraqueue", source / "paraqueue", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir"]
    made = run(*pip, house, "--no-deps", "--no-build-isolation", source)
    assert made.returncode == 0, made.stderr
    lock = REPOSITORY / "requirements" / "api.lock"
    wanted = tomllib.loads((source / "pyproject.toml").read_text())["project"]["dependencies"]
    kept = ARTIFACTS / "wheelhouse" / hashlib.sha256(lock.read_bytes() + repr(wanted).encode()).hexdigest()[:16]
    with making(kept) as missing:
        if missing:
            unfinished = Path(tempfile.mkdtemp(dir=kept.parent))
            got = run(*pip, unfinished, "--constraint", lock, *wanted)
            assert got.returncode == 0, got.stderr
            unfinished.rename(kept)
    for wheel in kept.glob("*.whl"):
        shutil.copy(wheel, house)
    return house


def install(wheelhouse: Path, place: Path) -> Path:
    """The folder of programs of a fresh environment with the client in it, and nothing else of ours."""
    venv.create(place, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "--quiet", "--disable-pip-version-check"]
    ran = run(*pip, "install", "--no-index", "--find-links", wheelhouse, "paraqueue")
    assert ran.returncode == 0, ran.stderr
    return place / "bin"


def environment(place: Path, **changes: str) -> dict[str, str]:
    """A user's, without a trace of the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PARAQUEUE"))}
    return kept | {"HOME": str(place), "XDG_CONFIG_HOME": str(place), "XDG_STATE_HOME": str(place)} | changes
