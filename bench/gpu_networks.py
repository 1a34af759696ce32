"""Our networks beside FunASR's modules on one device: tokens, speed, launches, kernels and memory by batch size."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.audio import SAMPLE_RATE, spoken_sentences
from bench.lab import Lab
from bench.launches import device_profile, launches
from bench.report import Column, Report, Table, spread
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.device.choice import keep_float32_exact
from worker.engine.features import AsrFrontend, load_cmvn
from worker.engine.recognition.gpu.networks import GpuNetworks
from worker.engine.recognition.networks import Networks, PaddedNetworks, Scores

SEGMENT_SECONDS = (6.0, 30.0)
GPU_SECONDS = (20.0, 60.0, 240.0, 600.0, 1200.0, 2400.0)
CPU_SECONDS = (20.0,)
PROFILED_SECONDS = 600.0
REPEATS = 5
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Contender:
    """Networks of one kind and precision; the first one is what the others are compared with."""

    name: str
    make: Callable[[Any, torch.device], Networks]


CONTENDERS = (
    Contender("FunASR's modules, fp32", lambda model, device: PaddedNetworks(model, device)),
    Contender("packed bf16", lambda model, device: GpuNetworks(model, device, "bf16")),
    Contender("packed fp16", lambda model, device: GpuNetworks(model, device, "fp16")),
    Contender("packed fp32", lambda model, device: GpuNetworks(model, device)),
    Contender("FunASR's modules, bf16", lambda model, device: PaddedNetworks(model, device, "bf16")),
)


def measure(lab: Lab, report: Report) -> None:
    """Add a table of all sizes, and on a GPU one of its longest kernels. On a CPU: the demo model, one size."""
    device = torch.device(lab.device)
    on_gpu = device.type == "cuda"
    keep_float32_exact()
    bundle = loading.load(from_directory(lab.bundle if on_gpu else lab.demo), lab.device)
    frontend = AsrFrontend(load_cmvn(bundle.asr.files["am.mvn"]), device=device)
    networks = [(one.name, one.make(bundle.asr.module, device)) for one in CONTENDERS]
    columns = [
        *(Column("networks"), Column("segments"), Column("audio", "audio, s", 0), Column("ms", "ms")),
        *(Column("times", "x real time", 0), Column("launches", digits=0), Column("memory", "peak, MiB", 0)),
        Column("equal", "segments with FunASR's tokens"),
    ]
    table = report.table("Networks by batch size", *columns)
    for name, one in networks:
        table.note(f"{name}: {one.description}.")
    for seconds in SEGMENT_SECONDS:
        for total in GPU_SECONDS if on_gpu else CPU_SECONDS:
            lab.say(f"networks: {total:g} s in segments of {seconds:g} s")
            batch = frontend(_segments(seconds, max(round(total / seconds), 1)))
            expected: Scores | None = None
            for name, one in networks:
                expected = _row(table, name, one, batch, (seconds, total), expected) or expected
    if on_gpu:
        batch = frontend(_segments(6.0, round(PROFILED_SECONDS / 6)))
        _kernels(report, networks[1][1], batch)


def _row(
    table: Table, name: str, networks: Networks, batch: Batch, size: tuple[float, float], expected: Scores | None
) -> Scores | None:
    """Measure one contender on one batch; returns its scores, or None if the batch does not fit into memory."""
    device = batch[0].device
    segments = f"{len(batch[1])} of {size[0]:g} s"
    try:
        scores = networks(*batch)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device) if device.type == "cuda" else 0
        took = [_seconds(device, lambda: networks(*batch)) for _ in range(REPEATS)]
    except torch.OutOfMemoryError:
        table.add(networks=name, segments=segments, audio=size[1])
        return None
    peak = (torch.cuda.max_memory_allocated(device) - before) / 2**20 if device.type == "cuda" else None
    audio = len(batch[1]) * size[0]
    table.add(
        networks=name,
        segments=segments,
        audio=audio,
        ms=spread(1e3 * one for one in took),
        times=spread(audio / one for one in took),
        launches=_launches(device, lambda: networks(*batch)),
        memory=peak,
        equal=None if expected is None else f"{_equal(scores, expected)} of {len(batch[1])}",
    )
    return scores


def _launches(device: torch.device, call: Callable[[], object]) -> int:
    """Kernels that ran on a GPU; on a CPU what they would be."""
    return device_profile(call)[0] if device.type == "cuda" else launches(call)


def _seconds(device: torch.device, call: Callable[[], object]) -> float:
    """Seconds between two events on the device, or by the clock on a CPU."""
    if device.type != "cuda":
        started = time.perf_counter()
        call()
        return time.perf_counter() - started
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def _equal(scores: Scores, expected: Scores) -> int:
    """The number of segments with the same tokens."""
    ours, theirs = (np.split(one.ids, np.cumsum(one.counts)[:-1]) for one in (scores, expected))
    return sum(np.array_equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def _segments(seconds: float, count: int) -> list[Any]:
    """Real speech, without pauses, in segments of one length: int16 [samples]."""
    samples = np.concatenate(spoken_sentences()).astype(np.int16)
    length = int(seconds * SAMPLE_RATE)
    return [np.resize(np.roll(samples, -7919 * number), length) for number in range(count)]


def _kernels(report: Report, networks: Networks, batch: Batch) -> None:
    """Add the kernels that take longest."""
    networks(*batch)
    count, seconds, longest = device_profile(lambda: networks(*batch))
    columns = Column("kernel"), Column("launches", digits=0), Column("ms", "ms"), Column("share", "share, %", 1)
    table = report.table(f"Kernels of packed bf16, {PROFILED_SECONDS:g} s in segments of 6 s", *columns)
    for name, number, own in longest:
        table.add(kernel=name[:80], launches=number, ms=1e3 * own, share=100 * own / max(seconds, 1e-9))
    table.add(kernel="all", launches=count, ms=1e3 * seconds, share=100.0)
