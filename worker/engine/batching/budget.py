"""The batch budget of a device, measured at startup.

There are two limits: memory, extrapolated by a model fitted to the measurements, and the size beyond which larger
batches are no faster. Both are expressed in padded seconds, as the batcher counts them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

Run = Callable[[int, float], object]
"""Recognise so many segments of so many seconds each."""

ALLOWANCE_SECONDS = 1.5
"""Wall time for measuring; trials that would exceed it are skipped."""

FIRST_SEGMENTS, SEGMENT_SECONDS = 4, 5.0
MOST_SECONDS = 3600.0
FASTER = 1.05
"""Minimum speedup per second of audio that justifies doubling the batch."""

GPU_SHARE, CPU_SHARE = 0.8, 0.25
"""Fraction of the free memory that a batch may use."""


class Trial(NamedTuple):
    """One measured batch."""

    segments: int
    seconds: float
    """Length of each segment."""
    wall_seconds: float
    peak_bytes: float
    """Peak memory of the batch, above what was in use before."""

    @property
    def padded_seconds(self) -> float:
        """Segments times their length."""
        return self.segments * self.seconds

    @property
    def speed(self) -> float:
        """Seconds of audio per second of wall time."""
        return self.padded_seconds / max(self.wall_seconds, 1e-9)


@dataclass(frozen=True)
class MemoryModel:
    """Bytes of a batch: base + linear * padded seconds + square * padded seconds * longest (attention)."""

    base: float
    linear: float
    square: float

    def bytes(self, padded_seconds: float, longest_seconds: float) -> float:
        """Memory of a batch of this size, in bytes."""
        return self.base + padded_seconds * (self.linear + self.square * longest_seconds)

    def padded_seconds(self, memory: float, longest_seconds: float) -> float:
        """The largest batch within `memory` bytes if its segments are as long as `longest_seconds`."""
        each = self.linear + self.square * longest_seconds
        return max(memory - self.base, 0.0) / each if each > 0 else float("inf")


def fit(trials: list[Trial]) -> MemoryModel:
    """Least-squares fit to the measurements, with no negative coefficient."""
    rows = np.array([[1.0, t.padded_seconds, t.padded_seconds * t.seconds] for t in trials])
    peaks = np.array([t.peak_bytes for t in trials])
    weights = 1 / np.maximum(peaks, 1.0)  # relative errors: small batches must not be dominated by large ones
    kept = [0, 1, 2][-len(trials) :]  # too few trials for three coefficients: rather overestimate long segments
    while kept:
        solution = np.linalg.lstsq(rows[:, kept] * weights[:, None], peaks * weights, rcond=None)[0]
        if (solution >= 0).all():
            break
        kept.pop(int(solution.argmin()))
    values = dict(zip(kept, solution, strict=True)) if kept else {}
    return MemoryModel(*(float(values.get(part, 0.0)) for part in range(3)))


class DeviceMemory(NamedTuple):
    """Memory of a GPU, or of the computer (within a container's limit), in bytes."""

    total: float
    free: float
    ours: float
    """Memory held by this process: on a GPU, what torch has reserved."""


class Memory:
    """The device's memory: free memory, and the peak between `start` and `peak_bytes`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def usable_bytes(self) -> float:
        """Memory that a batch may use."""
        if self._device.type == "cuda":
            return GPU_SHARE * torch.cuda.mem_get_info(self._device)[0]
        return CPU_SHARE * _available_bytes()

    def now(self) -> DeviceMemory:
        """Total, free, and held by this process."""
        if self._device.type == "cuda":
            free, total = torch.cuda.mem_get_info(self._device)
            return DeviceMemory(float(total), float(free), float(torch.cuda.memory_reserved(self._device)))
        return DeviceMemory(_total_bytes(), _available_bytes(), _resident_bytes("VmRSS"))

    def start(self) -> None:
        """Reset the peak."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._before = float(torch.cuda.memory_allocated(self._device))
            return
        with contextlib.suppress(OSError):  # if not permitted, an older peak is read, which errs on the safe side
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        self._before = _resident_bytes("VmRSS")

    def peak_bytes(self) -> float:
        """Peak memory since `start`, above what was in use then."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return float(torch.cuda.max_memory_allocated(self._device)) - self._before
        return _resident_bytes("VmHWM") - self._before


def find_budget(run: Run, memory: Memory, longest_seconds: float) -> tuple[float, list[Trial]]:
    """Padded seconds of a batch on this device, and the trials behind it.

    Batches of short segments double until they are no faster or the time is up; the longest segment shows the cost
    of length. `longest_seconds` is the longest segment that will occur. Call `run` once before, so that compilation
    is not measured.
    """
    ends = time.perf_counter() + ALLOWANCE_SECONDS
    trials = [_try(run, memory, FIRST_SEGMENTS, SEGMENT_SECONDS)]
    if time.perf_counter() + trials[0].wall_seconds * longest_seconds / trials[0].padded_seconds < ends:
        trials.append(_try(run, memory, 1, longest_seconds))
    grown, most = _grow(run, memory, trials, ends, longest_seconds)
    trials += grown[1:]
    fast = max(trial.speed for trial in grown) / FASTER
    enough = next(trial.padded_seconds for trial in grown if trial.speed >= fast)
    if grown[-1].padded_seconds == enough and _pays(grown):
        enough *= 2  # the growth was still paying off
    limit = min(fit(trials).padded_seconds(memory.usable_bytes(), longest_seconds), most)
    return float(np.clip(max(enough, 2 * longest_seconds), 1.0, max(limit, 1.0))), trials


def _grow(
    run: Run, memory: Memory, trials: list[Trial], ends: float, longest_seconds: float
) -> tuple[list[Trial], float]:
    """The first of `trials` followed by batches of doubling size, and the upper limit of the budget."""
    grown = [trials[0]]
    while _pays(grown) and time.perf_counter() + 2 * grown[-1].wall_seconds < ends:
        segments = 2 * grown[-1].segments
        allowed = fit([*trials, *grown[1:]]).padded_seconds(memory.usable_bytes(), longest_seconds)
        if segments * SEGMENT_SECONDS > min(allowed, MOST_SECONDS):
            break
        try:
            grown.append(_try(run, memory, segments, SEGMENT_SECONDS))
        except (torch.OutOfMemoryError, MemoryError):  # less memory was free than reported
            return grown, grown[-1].padded_seconds
    return grown, MOST_SECONDS


def _pays(grown: list[Trial]) -> bool:
    return len(grown) < 2 or grown[-1].speed >= FASTER * grown[-2].speed


def _try(run: Run, memory: Memory, segments: int, seconds: float) -> Trial:
    memory.start()
    started = time.perf_counter()
    run(segments, seconds)
    wall = time.perf_counter() - started
    return Trial(segments, seconds, wall, max(memory.peak_bytes(), 0.0))


def _resident_bytes(name: str) -> float:
    """VmRSS (now) or VmHWM (the peak) of this process."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(name + ":"):
            return float(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/self/status has no {name}")


def _total_bytes() -> float:
    """Memory of the machine, or the container's limit if that is lower."""
    total = float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
    except OSError:
        return total
    return total if limit == "max" else min(total, float(limit))


def _available_bytes() -> float:
    """Free memory, within the container's limit."""
    free = float(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable:"):
            free = float(line.split()[1]) * 1024
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii").strip()
        used = Path("/sys/fs/cgroup/memory.current").read_text(encoding="ascii").strip()
    except OSError:
        return free
    return free if limit == "max" else min(free, float(limit) - float(used))
