"""In the place of the decoder: one that does what a test asks for, in the real child process."""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

LIMITS = ("CPU", "AS", "FSIZE", "NOFILE", "CORE")
ALIVE_EVERY_SECONDS = 0.01
TRACK = {"index": 0, "codec": "pcm", "channels": 1, "sample_rate": 16_000, "default": True, "transcribed": True}
HEAD = {"channels": 1, "declared_ms": None, "exact": False, "tracks": [TRACK]}
SECOND = bytes(2 * 16_000)
SECONDS = 10


def main(order: dict[str, Any]) -> None:
    """Do what `order["do"]` names, or else the bytes of the file; by default, compute without end."""
    what = order.get("do") or os.pread(0, 20, 0).decode("ascii", "replace")
    {
        "crash": _crash,
        "fail": _fail,
        "tell": _tell,
        "sleep": _sleep,
        "alive": _be_alive,
        "sound, then nothing": _sound_then_nothing,
        "compute and tell": _compute_and_tell,
    }.get(what, _compute)()


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _fail() -> None:
    raise ValueError("this decoder fails")


def _tell() -> None:
    limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in LIMITS}
    files = sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())
    told = {"limits": limits, "files": files[:-1], "input": os.read(0, 100).decode(), "server": os.getppid()}
    os.write(1, json.dumps(told).encode())


def _sleep() -> None:
    time.sleep(600)


def _be_alive() -> None:
    """Report to be alive, and never send a first message."""
    while True:
        _write(b"A", b"")
        time.sleep(ALIVE_EVERY_SECONDS)


def _sound_then_nothing() -> None:
    """Send SECONDS seconds of silence, and wait."""
    _write(b"H", json.dumps(HEAD).encode())
    for _ in range(SECONDS):
        _write(b"S", SECOND)
    _sleep()


def _compute() -> None:
    """Send a first message, and compute."""
    _write(b"H", b"{}")
    while True:
        pass


def _compute_and_tell() -> None:
    """Say how much processor time this has taken after a while, and compute on."""
    while (used := resource.getrusage(resource.RUSAGE_SELF)).ru_utime < 0.1:
        pass
    os.write(1, f"{used.ru_utime + used.ru_stime}\n".encode())
    _compute()


def _write(kind: bytes, payload: bytes) -> None:
    os.write(1, kind + len(payload).to_bytes(4, "little") + payload)
