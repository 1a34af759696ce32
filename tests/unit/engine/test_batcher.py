"""The batcher alone: items are their own lengths in seconds, the device is a function."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from common.errors import OutOfMemory, Unavailable
from tests.waiting import until, until_blocked_in
from worker.engine.batching.batcher import Batcher, BatcherOptions
from worker.engine.device.faults import DeviceLost


class Device:
    """Doubles numbers; records its batches; can be held, and can run out of memory."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.free = threading.Event()
        self.free.set()
        self.limit = float("inf")

    def __call__(self, items: list[float]) -> list[float]:
        self.free.wait(120)
        if max(items) * len(items) > self.limit:
            raise MemoryError
        self.batches.append(items)
        if any(item < 0 for item in items):
            raise ValueError("negative")
        return [2 * item for item in items]


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def make(device: Device) -> Iterator[Callable[..., Batcher[float, float]]]:
    made: list[Batcher[float, float]] = []

    def build(budget: float = 30.0, queue: float = 1e9, **options: Any) -> Batcher[float, float]:
        made.append(Batcher(device, BatcherOptions(budget, queue, **options)))
        return made[-1]

    yield build
    device.free.set()
    for batcher in made:
        batcher.close()


def hold(batcher: Batcher[float, float], device: Device) -> Future[float]:
    """Keep the device busy with a first segment, so that later ones queue up."""
    device.free.clear()
    first = batcher.submit("first", 0.5, 0.5)
    until(lambda: not batcher.stats().queued_segments)
    return first


def test_padded_seconds_never_pass_the_budget(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=30.0)
    first = hold(batcher, device)
    lengths = np.random.default_rng(1).uniform(0.3, 29, 300).tolist()
    futures = [batcher.submit(number % 5, length, length) for number, length in enumerate(lengths)]
    device.free.set()
    assert [future.result(10) for future in futures] == [2 * length for length in lengths]
    assert first.result(10) == 1.0
    assert max(max(batch) * len(batch) for batch in device.batches) <= 30.0
    stats = batcher.stats()
    assert stats.segments == 301
    assert stats.batches == len(device.batches)
    assert stats.padded_seconds == pytest.approx(sum(max(b) * len(b) for b in device.batches))
    assert stats.real_seconds / stats.padded_seconds > 0.8  # packed by length


def test_the_segment_that_would_overflow_is_left_for_the_next_batch(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=300.0)
    hold(batcher, device)
    futures = [batcher.submit("job", length, length) for length in [3.0] * 90 + [59.0]]
    device.free.set()
    for future in futures:
        future.result(10)
    assert sorted(map(len, device.batches[1:])) == [1, 90]


def test_a_segment_longer_than_the_budget_runs_alone(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=10.0)
    hold(batcher, device)
    futures = [batcher.submit("job", length, length) for length in (2.0, 25.0, 2.0)]
    device.free.set()
    assert [future.result(10) for future in futures] == [4.0, 50.0, 4.0]
    assert [25.0] in device.batches
    assert [2.0, 2.0] in device.batches


def test_a_short_job_beside_a_long_one_ends_soon(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=20.0)
    hold(batcher, device)
    for _ in range(400):
        batcher.submit("long", 5.0, 5.0)
    short = [batcher.submit("short", length, length) for length in (1.0, 5.0, 9.0, 4.0)]
    device.free.set()
    for future in short:
        future.result(10)
    last = max(number for number, batch in enumerate(device.batches) if {1.0, 9.0, 4.0} & set(batch))
    assert last <= 8


def test_nothing_waits_while_the_device_is_idle(make: Callable[..., Any]) -> None:
    batcher = make(budget=1e6)
    assert batcher.submit("job", 1.0, 1.0).result(1) == 2.0


def test_a_full_queue_blocks_its_own_job_only(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=10.0, queue=10.0)
    hold(batcher, device)
    batcher.submit("a", 6.0, 6.0)
    with ThreadPoolExecutor(1) as threads:
        blocked = threads.submit(batcher.submit, "a", 6.0, 6.0)
        until_blocked_in(Batcher.submit)
        assert not blocked.done()
        batcher.submit("b", 6.0, 6.0)
        device.free.set()
        assert blocked.result(10).result(10) == 12.0


def test_all_jobs_together_have_a_bound(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=10.0, queue=100.0, total_queue_seconds=30.0)
    hold(batcher, device)
    futures = [batcher.submit(job, 6.0, 6.0) for job in range(4)]
    with ThreadPoolExecutor(2) as threads:
        blocked = threads.submit(batcher.submit, 0, 7.0, 7.0)
        until_blocked_in(Batcher.submit)
        assert not blocked.done()
        # A job with nothing queued is not kept waiting by the others.
        futures.append(threads.submit(batcher.submit, "new", 8.0, 8.0).result(10))
        assert not blocked.done()
        device.free.set()
        futures.append(blocked.result(10))
        assert [future.result(10) for future in futures] == [12.0] * 4 + [16.0, 14.0]


def test_withdraw_forgets_one_job(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=10.0, queue=10.0)
    hold(batcher, device)
    gone = batcher.submit("a", 6.0, 6.0)
    stays = batcher.submit("b", 6.0, 6.0)
    with ThreadPoolExecutor(1) as threads:
        blocked = threads.submit(batcher.submit, "a", 6.0, 6.0)
        until_blocked_in(Batcher.submit)
        assert batcher.withdraw("a") == 1
        with pytest.raises(CancelledError):
            blocked.result(10)
    device.free.set()
    assert stays.result(10) == 12.0
    assert gone.cancelled()
    assert [6.0] in device.batches
    assert len(device.batches) == 2


def test_out_of_memory_halves_and_is_learned(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=100.0)
    hold(batcher, device)
    device.limit = 20.0
    futures = [batcher.submit("job", 4.0, 4.0) for _ in range(60)]
    device.free.set()
    assert {future.result(10) for future in futures} == {8.0}
    stats = batcher.stats()
    assert stats.budget_seconds <= 20.0
    assert 1 <= stats.out_of_memory <= 4  # the first batch taught it; later ones fit
    assert sum(map(len, device.batches[1:])) == 60


def test_out_of_memory_of_one_segment_is_its_own_error(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=100.0)
    hold(batcher, device)
    device.limit = 20.0
    big, small = batcher.submit("a", 25.0, 25.0), batcher.submit("b", 5.0, 5.0)
    device.free.set()
    with pytest.raises(OutOfMemory):
        big.result(10)
    assert small.result(10) == 10.0


def test_an_error_stays_with_its_segment(make: Callable[..., Any], device: Device) -> None:
    batcher = make()
    hold(batcher, device)
    bad, good = batcher.submit("a", -1.0, 1.0), batcher.submit("b", 1.0, 1.0)
    device.free.set()
    with pytest.raises(ValueError, match="negative"):
        bad.result(10)
    assert good.result(10) == 2.0
    assert batcher.submit("c", 3.0, 3.0).result(10) == 6.0


def test_device_calls_go_first_and_together(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=1.0)
    hold(batcher, device)
    batches: list[list[int]] = []

    def add_one(numbers: list[int]) -> list[int]:
        batches.append(sorted(numbers))
        if 13 in numbers:
            raise ValueError("unlucky")
        return [number + 1 for number in numbers]

    segment = batcher.submit("job", 1.0, 1.0)
    with ThreadPoolExecutor(3) as threads:
        answers = [threads.submit(batcher.call, add_one, number) for number in (1, 2, 13)]
        until_blocked_in(Batcher.call, threads=3)
        device.free.set()
        assert [answers[0].result(10), answers[1].result(10)] == [2, 3]
        with pytest.raises(ValueError, match="unlucky"):
            answers[2].result(10)
    assert batches[0] == [1, 2, 13]  # all at once, then each alone because one failed
    assert segment.result(10) == 2.0


def test_closing_leaves_nobody_waiting(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=1.0)
    hold(batcher, device)
    waiting = batcher.submit("job", 1.0, 1.0)
    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(batcher.close)
        until_blocked_in(Batcher.close)
        device.free.set()
        closing.result(10)
    with pytest.raises(Unavailable):
        waiting.result(10)
    with pytest.raises(Unavailable):
        batcher.submit("job", 1.0, 1.0)


def test_a_free_device_waits_a_moment_for_a_batch_to_fill(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=30.0, max_queue_delay_seconds=2.0)
    futures = [batcher.submit("one", float(length), float(length)) for length in (5, 6)]
    until_blocked_in(Batcher._wait_to_fill)
    futures += [batcher.submit("two", float(length), float(length)) for length in (4, 7)]
    assert [future.result(20) for future in futures] == [10.0, 12.0, 8.0, 14.0]
    assert [sorted(batch) for batch in device.batches] == [[4.0, 5.0, 6.0, 7.0]]


def test_a_full_batch_does_not_wait(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=30.0, max_queue_delay_seconds=60.0)
    futures = [batcher.submit("one", 10.0, 10.0) for _ in range(3)]
    assert [future.result(20) for future in futures] == [20.0] * 3
    assert device.batches == [[10.0] * 3]


def test_a_device_call_ends_the_wait(make: Callable[..., Any], device: Device) -> None:
    batcher = make(budget=30.0, max_queue_delay_seconds=60.0)
    batcher.submit("one", 10.0, 10.0)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(batcher.call, lambda numbers: numbers, 7).result(20) == 7
    assert device.batches == []


def test_long_segments_teach_the_budget_too(make: Callable[..., Any], device: Device) -> None:
    device.limit = 45.0
    batcher = make(budget=120.0)
    hold(batcher, device)
    futures = [batcher.submit("one", 29.0, 29.0) for _ in range(4)]
    device.free.set()
    assert [future.result(10) for future in futures] == [58.0] * 4
    assert batcher.stats().budget_seconds <= 58.0
    failures = batcher.stats().out_of_memory
    assert [batcher.submit("two", 29.0, 29.0).result(10) for _ in range(3)] == [58.0] * 3
    assert batcher.stats().out_of_memory == failures


def test_closing_waits_no_longer_than_the_watchdog_allows(make: Callable[..., Any], device: Device) -> None:
    batcher = make(hang_seconds=0.2, watchdog_seconds=0.02)
    first = hold(batcher, device)
    batcher.close()
    assert not device.free.is_set()
    with pytest.raises(DeviceLost, match="has not ended"):
        first.result(60)


def test_closing_is_no_loss_of_the_device(device: Device) -> None:
    lost: list[DeviceLost] = []
    options = BatcherOptions(30.0, 1e9, watchdog_seconds=0.001)
    for _ in range(20):
        batcher: Batcher[float, float] = Batcher(device, options, on_lost=lost.append)
        assert batcher.submit("job", 1.0, 1.0).result(60) == 2.0
        batcher.close()
    assert lost == []
