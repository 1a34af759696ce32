"""The size of a batch, found by trying, on a made-up device and on the CPU."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from bench.machine import REPOSITORY
from worker.engine.batching import budget
from worker.engine.batching.budget import Memory, MemoryModel, Trial, find_budget, fit

MEBIBYTE = 1 << 20


class FakeDevice(Memory):
    """Batches take the time and memory that formulas say."""

    def __init__(self, usable: float, model: MemoryModel, knee_seconds: float) -> None:
        super().__init__(torch.device("cpu"))
        self.usable, self.model, self.knee_seconds = usable, model, knee_seconds
        self.tried: list[tuple[int, float]] = []
        self.clock = 0.0

    def usable_bytes(self) -> float:
        return self.usable

    def start(self) -> None:
        self.tried.append((0, 0.0))

    def peak_bytes(self) -> float:
        segments, seconds = self.tried[-1]
        return self.model.bytes(segments * seconds, seconds)

    def run(self, segments: int, seconds: float) -> None:
        """A fixed cost for each batch, which does not matter beyond the knee, and 1 ms for each second."""
        self.tried[-1] = (segments, seconds)
        self.clock += 0.001 * max(segments * seconds, self.knee_seconds)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> FakeDevice:
    made = FakeDevice(4096 * MEBIBYTE, MemoryModel(10 * MEBIBYTE, 2 * MEBIBYTE, 0.1 * MEBIBYTE), 160.0)
    monkeypatch.setattr(time, "perf_counter", lambda: made.clock)
    return made


def test_a_batch_is_as_large_as_pays(device: FakeDevice) -> None:
    seconds, trials = find_budget(device.run, device, 30.0)
    assert seconds == 160.0
    assert [trial.padded_seconds for trial in trials if trial.seconds == 5] == [20, 40, 80, 160, 320]


def test_memory_limits_a_batch_of_the_longest_segments(device: FakeDevice) -> None:
    device.usable = 510 * MEBIBYTE
    seconds, _ = find_budget(device.run, device, 30.0)
    assert seconds == pytest.approx(100.0)  # (510 - 10) / (2 + 0.1 * 30)
    assert device.model.bytes(seconds, 30.0) <= device.usable * 1.001
    assert max(device.model.bytes(n * s, s) for n, s in device.tried if n > 0 and s == 5) <= device.usable


def test_a_slow_device_is_not_tried_for_long(device: FakeDevice) -> None:
    device.knee_seconds = 600.0
    seconds, trials = find_budget(device.run, device, 30.0)
    assert device.clock <= budget.ALLOWANCE_SECONDS + 0.6
    assert len(trials) <= 3
    assert seconds >= 60.0


def test_running_out_of_memory_while_trying_ends_the_growth(device: FakeDevice) -> None:
    def run(segments: int, seconds: float) -> None:
        if segments * seconds > 80:
            raise MemoryError
        device.run(segments, seconds)

    seconds, trials = find_budget(run, device, 15.0)
    assert max(trial.padded_seconds for trial in trials) == 80
    assert seconds <= 80


def test_the_model_is_found_again_and_never_negative() -> None:
    true = MemoryModel(5e6, 3e5, 2e4)
    trials = [Trial(n, s, 1.0, true.bytes(n * s, s)) for n, s in ((4, 5.0), (16, 5.0), (4, 30.0), (64, 5.0))]
    fitted = fit(trials)
    np.testing.assert_allclose(
        [fitted.base, fitted.linear, fitted.square], [true.base, true.linear, true.square], rtol=1e-6
    )
    shrinking = [Trial(4, 5.0, 1.0, 100.0), Trial(8, 5.0, 1.0, 50.0)]
    assert min(fit(shrinking).base, fit(shrinking).linear, fit(shrinking).square) >= 0
    assert fit([Trial(4, 5.0, 1.0, 0.0)]).padded_seconds(1e9, 30.0) > 0


PEAK = f"""
import numpy as np
import torch
from worker.engine.batching.budget import Memory
memory = Memory(torch.device("cpu"))
memory.start()
block = np.ones({64 * MEBIBYTE}, np.uint8)
del block
peak = memory.peak_bytes()
memory.start()
print(peak, memory.peak_bytes(), memory.usable_bytes())
"""


def test_the_peak_of_a_stretch_of_work_is_seen_on_the_cpu() -> None:
    # A process of its own: here, what earlier tests used may be freed at any moment.
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    peak, later, usable = map(float, done.stdout.split())
    assert 60 * MEBIBYTE < peak < 200 * MEBIBYTE
    assert later < 32 * MEBIBYTE
    assert 0 < usable < 1 << 50
