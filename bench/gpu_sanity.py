"""Checks that the device and its libraries work, and measures how fast it multiplies and copies."""

from __future__ import annotations

import time
from collections.abc import Callable

import numba
import numpy as np
import torch

from bench.report import Column, Report

GPU_SIZE, CPU_SIZE = 8192, 512
REPEATS = 5


def measure(report: Report, device_name: str) -> None:
    """Add a table. Raises the error of the first library that does not work."""
    device = torch.device(device_name)
    doubled = numba.njit(lambda values: values * 2)(np.arange(3))  # numba refuses a numpy that is too new for it
    if doubled.tolist() != [0, 2, 4]:
        raise RuntimeError(f"numba {numba.__version__} computes {doubled} with numpy {np.__version__}")
    table = report.table("Device", Column("what"), Column("value", digits=1), Column("unit"))
    size = CPU_SIZE if device.type == "cpu" else GPU_SIZE
    for kind in (torch.float32, torch.bfloat16, torch.float16):
        matrix = torch.ones(size, size, device=device, dtype=kind)
        seconds = _seconds(device, lambda matrix=matrix: matrix @ matrix)  # type: ignore[misc]
        table.add(what=f"matrix product of {size}, {kind}", value=2 * size**3 / seconds / 1e12, unit="TFLOP/s")
    host = torch.empty(2**26, dtype=torch.uint8, pin_memory=device.type == "cuda")
    seconds = _seconds(device, lambda: host.to(device, non_blocking=True, copy=True))
    table.add(what="copy of 64 MiB from the host", value=len(host) / seconds / 1e9, unit="GB/s")
    there = host.to(device)
    seconds = _seconds(device, lambda: there.clone())
    table.add(what="copy of 64 MiB on the device", value=2 * len(host) / seconds / 1e9, unit="GB/s")


def _seconds(device: torch.device, call: Callable[[], object]) -> float:
    """The minimum of several runs, after one warm-up run."""
    call()
    seconds = []
    for _ in range(REPEATS):
        _wait(device)
        started = time.perf_counter()
        call()
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
