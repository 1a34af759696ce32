"""Measures what a piece of work costs its process. Standard library only; torch is queried only if already loaded."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

MEBIBYTE = 2**20


class Meter:
    """`with Meter(device) as meter: …`, then `meter.figures`.

    wall_seconds; cpu_seconds, including all descendants (decoders); peak_rss_mib, the peak memory of the
    process in this period; gpu_mib, the peak that torch allocated on a GPU.
    """

    def __init__(self, device: str) -> None:
        self._cuda: Any = sys.modules["torch"].cuda if device.startswith("cuda") and "torch" in sys.modules else None
        self.figures: dict[str, float | None] = {}

    def __enter__(self) -> Self:
        forget_peak()
        if self._cuda is not None:
            self._cuda.reset_peak_memory_stats()
        self._cpu = family_cpu_seconds(os.getpid())
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.figures = {
            "wall_seconds": time.perf_counter() - self._started,
            "cpu_seconds": family_cpu_seconds(os.getpid()) - self._cpu,
            "peak_rss_mib": memory_mib("VmHWM"),
            "gpu_mib": None if self._cuda is None else self._cuda.max_memory_allocated() / MEBIBYTE,
        }


def family_cpu_seconds(process: int) -> float:
    """Processor time so far of a process and all its descendants, including ended ones."""
    parents: dict[int, int] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # the process has just ended
            continue
        parents[int(entry.name)] = int(fields[1])
        used[int(entry.name)] = sum(map(int, fields[11:15]))
    family = {process}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(used.get(one, 0) for one in family) / os.sysconf("SC_CLK_TCK")


def memory_mib(field: str, process: int | str = "self") -> float:
    """Memory of a process in MiB: `VmRSS` is the current use, `VmHWM` the peak since `forget_peak`."""
    match = re.search(rf"^{field}:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return int(match[1]) / 1024 if match else float("nan")


def forget_peak() -> None:
    """Reset VmHWM to the current memory use."""
    Path("/proc/self/clear_refs").write_text("5")
