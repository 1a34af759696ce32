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


def main(order: dict[str, Any]) -> None:
    """Do what `order["do"]` names; by default, write a first message, and compute without end."""
    what = order.get("do", "compute")
    if what == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if what == "fail":
        raise ValueError("this decoder fails")
    if what == "tell":
        limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in LIMITS}
        files = sorted(int(path.name) for path in Path("/proc/self/fd").iterdir())
        told = {"limits": limits, "files": files[:-1], "input": os.read(0, 100).decode(), "server": os.getppid()}
        os.write(1, json.dumps(told).encode())
    if what == "sleep":
        time.sleep(600)
    if what == "compute":
        os.write(1, b"H" + (2).to_bytes(4, "little") + b"{}")
        while True:
            pass
