"""Out of memory, a lost device, a hanging device: what happens to the work and to its callers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import pytest
import torch

from common.errors import OutOfMemory
from worker.engine.batching.adaptive_budget import RECOVERY_BATCHES, AdaptiveBudget
from worker.engine.batching.batcher import Batcher, BatcherOptions
from worker.engine.device.faults import DeviceLost, FaultRules, attempt
from worker.engine.device.torch_faults import is_out_of_memory, torch_fault_rules


class Memory:
    """Device memory for a number of seconds of audio, freed when nothing refers to it any more."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.used = 0.0
        self.batches: list[list[float]] = []
        self.calls = 0

    def run(self, items: list[float]) -> list[float]:
        self.calls += 1
        held = Tensor(self, max(items) * len(items))
        if self.used > self.seconds:
            raise MemoryError
        self.batches.append(items)
        return [2 * item for item in items if held]


class Tensor:
    def __init__(self, memory: Memory, seconds: float) -> None:
        self.memory, self.size = memory, seconds
        memory.used += seconds

    def __del__(self) -> None:
        self.memory.used -= self.size


class Sticky(RuntimeError):
    """As torch.AcceleratorError after an illegal address."""


STICKY = FaultRules(is_lost=lambda error: isinstance(error, Sticky))


@pytest.fixture
def make() -> Iterator[Callable[..., Batcher[float, float]]]:
    made: list[Batcher[float, float]] = []

    def build(run: Any, budget: float = 100.0, on_lost: Any = lambda _error: None, **options: Any) -> Any:
        made.append(Batcher(run, BatcherOptions(budget, 1e9, **options), on_lost=on_lost))
        return made[-1]

    yield build
    for batcher in made:
        batcher.close()


def queued(batcher: Any, count: int, seconds: float) -> list[Any]:
    """That many segments queued together, because the device's thread is busy with a call."""
    entered, free = threading.Event(), threading.Event()

    def busy(arguments: list[int]) -> list[int]:
        entered.set()
        free.wait(60)
        return arguments

    with ThreadPoolExecutor(1) as threads:
        threads.submit(batcher.call, busy, 0)
        entered.wait(60)
        futures = [batcher.submit("job", seconds, seconds) for _ in range(count)]
        free.set()
    return futures


def test_a_retry_has_the_memory_of_the_failed_try_again(make: Callable[..., Any]) -> None:
    """The error's traceback held the failed batch's tensors: every smaller batch failed as well."""
    memory = Memory(60.0)
    batcher = make(memory.run)
    assert [future.result(60) for future in queued(batcher, 25, 4.0)] == [8.0] * 25
    assert batcher.stats().out_of_memory == 1
    assert batcher.stats().budget_seconds == 52.0  # half of 25 segments, rounded up
    assert sorted(map(len, memory.batches)) == [12, 13]


def test_the_budget_recovers(make: Callable[..., Any]) -> None:
    memory = Memory(60.0)
    batcher = make(memory.run)
    for future in queued(batcher, 25, 4.0):
        future.result(60)
    memory.seconds = 1000.0
    for _ in range(8 * RECOVERY_BATCHES):
        for future in queued(batcher, 25, 4.0):
            future.result(60)
        if batcher.stats().budget_seconds == 100.0:
            break
    assert batcher.stats().budget_seconds == 100.0
    assert batcher.stats().out_of_memory == 1
    futures = queued(batcher, 25, 4.0)
    assert {future.result(60) for future in futures} == {8.0}
    assert len(memory.batches[-1]) == 25


def test_a_budget_that_grew_back_too_early_waits_longer() -> None:
    budget = AdaptiveBudget(100.0)
    budget.lower(50.0)

    def batches_until_larger() -> int:
        before, count = budget.seconds, 0
        while budget.seconds == before:
            budget.fitted(budget.seconds)
            count += 1
        return count

    first = batches_until_larger()
    budget.lower(50.0)
    assert batches_until_larger() == 2 * first
    for _ in range(10 * first):
        budget.fitted(1.0)  # small batches prove nothing
    assert budget.seconds == 62.5
    budget.lower(0.01)
    assert budget.seconds == 1.0


def test_a_single_segment_or_call_is_tried_again(make: Callable[..., Any]) -> None:
    failures, freed = [2], []

    def run(items: list[float]) -> list[float]:
        if failures[0] > 0:
            failures[0] -= 1
            raise MemoryError
        return items

    batcher = make(run, faults=FaultRules(free_memory=lambda: freed.append(1)))
    with pytest.raises(OutOfMemory):
        batcher.submit("job", 1.0, 1.0).result(60)
    failures[0] = 1
    assert batcher.submit("job", 1.0, 1.0).result(60) == 1.0
    failures[0] = 2
    with pytest.raises(OutOfMemory):
        batcher.call(run, 5.0)
    failures[0] = 1
    assert batcher.call(run, 5.0) == 5.0
    assert len(freed) == 6
    assert batcher.stats().out_of_memory == 6


def test_a_lost_device_is_told_to_everybody_and_once_to_the_process(make: Callable[..., Any]) -> None:
    lost: list[DeviceLost] = []

    def run(items: list[float]) -> list[float]:
        raise Sticky(f"CUDA error: an illegal memory access ({len(items)})")

    batcher = make(run, budget=8.0, on_lost=lost.append, faults=STICKY)
    for future in queued(batcher, 10, 4.0):
        with pytest.raises(DeviceLost):
            future.result(60)
    with pytest.raises(DeviceLost):
        batcher.submit("later", 1.0, 1.0)
    with pytest.raises(DeviceLost):
        batcher.call(lambda arguments: arguments, 1)
    assert [str(error) for error in lost] == ["The device no longer works: CUDA error: an illegal memory access (2)"]
    assert isinstance(lost[0].__cause__, Sticky)


def test_an_error_that_is_not_sticky_stays_with_its_segment(make: Callable[..., Any]) -> None:
    def run(items: list[float]) -> list[float]:
        if 3.0 in items:
            raise RuntimeError("this one")
        return items

    lost: list[DeviceLost] = []
    batcher = make(run, on_lost=lost.append, faults=STICKY)
    bad, good = batcher.submit("a", 3.0, 3.0), batcher.submit("b", 4.0, 4.0)
    with pytest.raises(RuntimeError, match="this one"):
        bad.result(60)
    assert good.result(60) == 4.0
    assert lost == []


@pytest.mark.parametrize("kind", ["segment", "call"])
def test_a_call_that_hangs_is_noticed(make: Callable[..., Any], kind: str) -> None:
    lost: list[DeviceLost] = []
    free = threading.Event()

    def hang(items: list[float]) -> list[float]:
        free.wait(120)
        return items

    batcher = make(hang, on_lost=lost.append, hang_seconds=0.2, watchdog_seconds=0.02)
    try:
        with pytest.raises(DeviceLost, match="has not ended"):
            batcher.call(hang, 1.0) if kind == "call" else batcher.submit("job", 1.0, 1.0).result(60)
        assert len(lost) == 1
        batcher.close()  # does not wait for the thread that hangs
    finally:
        free.set()


def test_many_calls_that_end_are_not_a_hang(make: Callable[..., Any]) -> None:
    lost: list[DeviceLost] = []
    pause = threading.Event()

    def slow(items: list[float]) -> list[float]:
        pause.wait(0.01)
        return items

    batcher = make(slow, on_lost=lost.append, hang_seconds=60.0, watchdog_seconds=0.001)
    assert [batcher.call(slow, number) for number in range(50)] == list(range(50))
    assert lost == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_leaves_nobody_waiting(make: Callable[..., Any]) -> None:
    lost: list[DeviceLost] = []

    def die(_items: list[float]) -> list[float]:
        raise KeyboardInterrupt

    batcher = make(die, on_lost=lost.append)
    with pytest.raises(DeviceLost, match="KeyboardInterrupt"):
        batcher.submit("job", 1.0, 1.0).result(60)
    assert len(lost) == 1


def test_the_lines_of_an_error_stay_for_the_log() -> None:
    def fail() -> None:
        raise ValueError("here")

    _, error = attempt(FaultRules(), fail)
    assert error is not None
    assert error.__traceback__ is not None
    names: list[str] = []
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        names.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert names == ["attempt", "fail"]


def test_what_torch_says_when_memory_is_out() -> None:
    with pytest.raises(RuntimeError) as cpu:
        torch.empty(1 << 50)
    assert is_out_of_memory(cpu.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate`"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("CUDA error: an illegal memory access was encountered"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))


def test_a_device_is_lost_when_it_cannot_be_used_any_more() -> None:
    error = RuntimeError("CUDA error: device-side assert triggered")

    def fails() -> None:
        raise error

    def full() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    gpu = torch.device("cuda:0")
    assert torch_fault_rules(gpu, fails).is_lost(error)
    assert not torch_fault_rules(gpu, lambda: None).is_lost(error)
    assert not torch_fault_rules(gpu, full).is_lost(error)
    assert not torch_fault_rules(torch.device("cpu")).is_lost(error)
