"""Memory of the packed networks of a GPU, here on the CPU: what trials at the start measure holds for every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from worker.engine.assembly import paraformer_of
from worker.engine.batching.budget import FIRST_SEGMENTS, GPU_SHARE, SEGMENT_SECONDS, MemoryModel, Trial, fit
from worker.engine.bundles import loading
from worker.engine.bundles.bundles import from_directory
from worker.engine.recognition.paraformer import Paraformer

Samples = NDArray[np.int16]
BUDGET_SECONDS = 120.0
LONGEST_SECONDS = 30.0
TOLERANCE = 1 / GPU_SHARE
"""What the fit may miss without more than the free memory being used."""


@pytest.fixture(scope="module", params=["fp32", "bf16"])
def recogniser(request: pytest.FixtureRequest, random_bundle: Path) -> Iterator[Paraformer]:
    from worker.engine.recognition.gpu.networks import GpuNetworks

    made = paraformer_of(loading.load(from_directory(random_bundle), "cpu"), "packed")
    loaded = loading.load(from_directory(random_bundle), "cpu")
    made._networks = GpuNetworks(loaded.asr.module, torch.device("cpu"), request.param)
    yield made
    made.close()


def peak_bytes(call: Callable[[], object]) -> int:
    """The most memory that torch holds at a time during a call, above what it held before."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    events: list[Any] = [one for one in profile.profiler.kineto_results.events() if one.name() == "[memory]"]
    changes = [one.nbytes() for one in sorted(events, key=lambda one: one.start_ns())]
    return int(np.cumsum(changes).max())


def noise(seconds: float) -> Samples:
    return np.random.default_rng(0).integers(-300, 300, int(seconds * 16_000), dtype=np.int16)


def measured(recogniser: Paraformer, segments: int, seconds: float) -> Trial:
    """A trial as at the start of a worker."""
    peak = peak_bytes(lambda: recogniser.rehearse([noise(seconds)] * segments))
    return Trial(segments, seconds, 1.0, float(peak))


@pytest.fixture(scope="module")
def model(recogniser: Paraformer) -> MemoryModel:
    shapes = [(FIRST_SEGMENTS * 2**doubled, SEGMENT_SECONDS) for doubled in range(3)]
    return fit([measured(recogniser, *shape) for shape in (shapes[0], (1, LONGEST_SECONDS), *shapes[1:])])


def within_budget(recordings: list[Samples]) -> Iterator[list[Samples]]:
    """Batches of speech of very different shapes that fill the budget of padded seconds."""
    generator = np.random.default_rng(5)
    speech = np.concatenate(recordings)

    def piece(seconds: float) -> Samples:
        length = int(seconds * 16_000)
        start = int(generator.integers(0, len(speech) - length))
        return speech[start : start + length]

    for seconds in (0.5, 1.0, 5.0, LONGEST_SECONDS):
        yield [piece(seconds)] * int(BUDGET_SECONDS / seconds)
    yield [piece(LONGEST_SECONDS), piece(0.1), piece(0.5), piece(12.0)]
    for longest in (4.0, 11.0, LONGEST_SECONDS):
        yield [
            piece(seconds) for seconds in (longest, *generator.uniform(0.1, longest, int(BUDGET_SECONDS / longest) - 1))
        ]


def test_no_batch_within_the_budget_takes_more_than_the_trials_say(
    recogniser: Paraformer, model: MemoryModel, recordings: list[Samples]
) -> None:
    fullest = 0.0
    for batch in within_budget(recordings):
        longest = max(map(len, batch)) / 16_000
        allowed = model.bytes(longest * len(batch), longest)
        used = peak_bytes(lambda batch=batch: recogniser.recognise(batch))  # type: ignore[misc]
        assert used <= TOLERANCE * allowed
        fullest = max(fullest, used / allowed)
    assert fullest > 0.5  # the trials are of about the same size, not far above


def test_trials_on_noise_run_the_decoder(recogniser: Paraformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model hears few words in noise or none; then its decoder would not run, which takes much of the memory."""
    networks: Any = recogniser._networks
    counts: list[list[int]] = []

    def kept(*batch: Any) -> Any:
        scores = networks(*batch)
        counts.append(scores.counts)
        assert len(scores.ids) == sum(scores.counts)
        return scores

    monkeypatch.setattr(kept, "predictor", networks.predictor, raising=False)
    monkeypatch.setattr(recogniser, "_networks", kept)
    monkeypatch.setattr(networks.predictor._predictor.cif_output, "bias", torch.nn.Parameter(torch.tensor([-20.0])))
    silent = [np.zeros(5 * 16_000, np.int16)] * 4
    assert recogniser.recognise(silent) == [[]] * 4
    recogniser.rehearse(silent)
    assert recogniser.recognise(silent) == [[]] * 4  # nothing of it stays
    assert counts == [[0] * 4, [33] * 4, [0] * 4]  # 83 frames
