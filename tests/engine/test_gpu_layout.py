"""The GPU code paths, here on the CPU: its networks, one thread for every call, and 16-bit arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from common.errors import OutOfMemory
from common.transcript.values import Sentence
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.device.faults import DeviceLost, FaultRules
from worker.engine.engine import Engine
from worker.engine.options import EngineOptions, GpuLayout

Samples = NDArray[np.int16]


def gpu_engine(bundle: Path, precision: str = "fp32", layout: GpuLayout = "packed") -> Engine:
    loaded = loading.load(from_directory(bundle), "cpu")
    options = EngineOptions(batch_seconds=60.0, as_gpu=True, gpu_networks=layout)
    return Engine(replace(loaded, precision=precision), options)


@pytest.fixture(scope="module")
def cpu_texts(demo_bundle: Path, recordings: list[Samples]) -> Iterator[list[str]]:
    engine = Engine.load(from_directory(demo_bundle), "cpu", threads=1, batch_seconds=60.0)
    yield [text(run(engine, samples)) for samples in recordings]
    engine.close()


def run(engine: Engine, samples: Samples, stop: int | None = None) -> list[Sentence]:
    """The sentences of a recording; at `stop` its stream is saved and continued by another."""
    stream = engine.stream()
    sentences = stream.accept(samples[:stop])
    if stop is not None:
        stream = engine.stream(state=stream.state())
        sentences += stream.accept(samples[stream.resume_sample :])
    return sentences + stream.finish()


def text(sentences: list[Sentence]) -> str:
    return "".join(sentence.text for sentence in sentences)


@pytest.mark.parametrize(
    ("precision", "layout"), [("fp32", "packed"), ("fp32", "padded"), ("bf16", "padded"), ("fp16", "padded")]
)
def test_the_text_is_that_of_the_cpu(
    demo_bundle: Path, recordings: list[Samples], cpu_texts: list[str], precision: str, layout: GpuLayout
) -> None:
    """All recordings at once, half of them interrupted. Packed rows in 16 bits: see test_gpu_networks."""
    engine = gpu_engine(demo_bundle, precision, layout)
    assert engine.networks == ("packed" if layout == "packed" else "padded: as configured")
    stops = [None, 400_000, None, 250_000]
    try:
        with ThreadPoolExecutor(4) as threads:
            texts = [text(each) for each in threads.map(lambda *job: run(engine, *job), recordings, stops)]
        assert engine.stats().device_calls > 4  # VAD and punctuation go through the device's thread
    finally:
        engine.close()
    assert min(map(len, cpu_texts)) > 50
    if precision == "fp32":
        assert texts == cpu_texts
    else:  # the rate of difference is measured by `python -m bench.gpu`; here the arithmetic must work at all
        for ours, expected in zip(texts, cpu_texts, strict=True):
            assert SequenceMatcher(None, ours, expected, autojunk=False).ratio() > 0.97


def test_memory_that_is_short_in_a_jobs_thread(
    demo_bundle: Path, recordings: list[Samples], cpu_texts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features are computed on the device by the job's own thread: once more, then OutOfMemory for the job."""
    engine = gpu_engine(demo_bundle)
    compute = engine._vad.normalised
    failures = iter([True, False, False, True])

    def sometimes(features: torch.Tensor) -> torch.Tensor:
        if next(failures, False):
            raise MemoryError
        return compute(features)

    try:
        monkeypatch.setattr(engine._vad, "normalised", sometimes)
        assert text(run(engine, recordings[0])) == cpu_texts[0]
        failures = iter([True] * 100)
        with pytest.raises(OutOfMemory):
            run(engine, recordings[0])
    finally:
        engine.close()


@pytest.mark.parametrize("place", ["job thread", "device thread"])
def test_a_lost_device_ends_all_streams_and_is_told_once(
    demo_bundle: Path, recordings: list[Samples], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(
        "worker.engine.engine.torch_fault_rules", lambda _device: FaultRules(is_lost=lambda error: "CUDA" in str(error))
    )
    engine = gpu_engine(demo_bundle)
    lost: list[DeviceLost] = []
    engine.on_device_lost(lost.append)

    def fail(*_arguments: object) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    other = engine.stream()
    if place == "job thread":
        monkeypatch.setattr(engine._vad, "normalised", fail)
    else:
        monkeypatch.setattr(engine.batcher._runner, "_function", fail)
    with pytest.raises(DeviceLost):
        run(engine, recordings[0])
    with pytest.raises(DeviceLost):
        other.accept(recordings[1])
        other.finish()
    assert engine.lost
    assert len(lost) == 1
    engine.on_device_lost(lost.append)  # late, and reported at once
    assert len(lost) == 2
    engine.close()
