"""One device fed by many jobs.

A single thread owns the device. It runs two kinds of work: batches of segments, packed by length within a budget of
padded seconds, and device calls (small forward passes that a job waits for: VAD, punctuation), which take precedence
because they produce segments. A batch that is not full waits briefly while jobs are submitting segments; then
whatever is queued runs.

When the device is lost, all pending and later calls raise DeviceLost.

This module does not depend on a model or on torch; it takes callables.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from common.errors import Unavailable
from worker.engine.batching.batch_runner import BatchRunner, settle
from worker.engine.batching.packing import Entry, JobQueue, Queues, choose_batch
from worker.engine.device.faults import DeviceLost, FaultRules
from worker.engine.device.watchdog import Watchdog

Item = TypeVar("Item")
Result = TypeVar("Result")
Argument = TypeVar("Argument")
Value = TypeVar("Value")
JOIN_SECONDS = 0.5


@dataclass(frozen=True)
class BatcherOptions:
    """Sizes and times of a batcher.

    `budget_seconds` limits the padded seconds of a batch (longest segment times number of segments); a longer
    segment runs alone. `queue_seconds` limits what one job may have queued, `total_queue_seconds` what all jobs
    together may have: beyond that `submit` blocks. An idle device waits at most `max_queue_delay_seconds` for a
    batch to fill, and only if a segment was queued or a device call completed within that time. A call that lasts
    `hang_seconds` means that the device hangs.
    """

    budget_seconds: float
    queue_seconds: float
    total_queue_seconds: float = float("inf")
    max_queue_delay_seconds: float = 0.0
    hang_seconds: float = 600.0
    watchdog_seconds: float = 1.0
    faults: FaultRules = field(default_factory=FaultRules)


@dataclass(frozen=True, slots=True)
class BatcherStats:
    """Counters since the start, and the current queue. Seconds of audio, except `busy_seconds` and `idle_seconds`."""

    batches: int
    segments: int
    real_seconds: float
    padded_seconds: float
    device_calls: int
    busy_seconds: float
    """Wall time in which the device worked."""
    idle_seconds: float
    """Wall time in which the device's thread had nothing to do."""
    out_of_memory: int
    budget_seconds: float
    queued_segments: int
    queued_seconds: float


class Batcher(Generic[Item, Result]):
    """Runs `run(items) -> results` on one thread over the segments of all jobs.

    A batch that runs out of memory is halved, and later batches are smaller until memory is available again. `run`
    and device calls may be repeated after an error, so they must not modify their arguments. `on_lost` is called
    once, from any thread, when the device is lost.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        options: BatcherOptions,
        *,
        on_lost: Callable[[DeviceLost], None] = lambda _error: None,
        name: str = "device",
    ) -> None:
        self._options = options
        self._on_lost = on_lost
        self._busy_jobs_until = 0.0
        self._changed = threading.Condition()
        self._queues: Queues[Item, Result] = OrderedDict()
        self._calls: OrderedDict[Any, list[tuple[Any, Future[Any]]]] = OrderedDict()
        self._running: list[Future[Any]] = []
        self._closed = False
        self._lost: DeviceLost | None = None
        self._busy_seconds = self._idle_seconds = 0.0
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._watchdog = Watchdog(
            self._thread,
            self._on_fault,
            limit_seconds=options.hang_seconds,
            tick_seconds=options.watchdog_seconds,
        )
        self._runner = BatchRunner(run, options.budget_seconds, options.faults, self._watchdog)
        self._thread.start()
        self._watchdog.start()

    def submit(self, key: Hashable, item: Item, seconds: float) -> Future[Result]:
        """Queue a segment of job `key` that is `seconds` long; blocks while that job's queue, or all queues, are full.

        A job with nothing queued never waits, even if the queues of other jobs are full.

        Raises CancelledError if the job is withdrawn while it waits, Unavailable if the batcher is closed, DeviceLost.
        The future raises OutOfMemory, DeviceLost, or what `run` raised for this segment.
        """
        entry: Entry[Item, Result] = Entry(item, seconds, Future())
        with self._changed:
            queue = self._queues.setdefault(key, JobQueue())
            while queue.entries and self._is_full(queue, seconds) and not self._closed:
                self._changed.wait()
                if queue.withdrawn:
                    raise CancelledError
                queue = self._queues.setdefault(key, queue)
            self._check_open()
            queue.append(entry)
            self._expect_more()
            self._changed.notify_all()
        return entry.future

    def call(self, function: Callable[[list[Argument]], Sequence[Value]], argument: Argument) -> Value:
        """Run `function` on the device thread, ahead of batches, and return its value for `argument`.

        Pending arguments for the same `function` are passed to it together. Raises Unavailable, OutOfMemory,
        DeviceLost (the watchdog limits the wait), or what `function` raised for this argument.
        """
        return self.begin(function, argument).result()

    def begin(self, function: Callable[[list[Argument]], Sequence[Value]], argument: Argument) -> Future[Value]:
        """Like `call`, without waiting for the value; callers limit what they have pending. Raises Unavailable."""
        future: Future[Value] = Future()
        with self._changed:
            self._check_open()
            self._calls.setdefault(function, []).append((argument, future))
            self._changed.notify_all()
        return future

    def withdraw(self, key: Hashable) -> int:
        """Drop the queued segments of a job and wake its blocked submitter; return how many were dropped.

        Their futures are cancelled. Segments that are already on the device are finished.
        """
        with self._changed:
            queue = self._queues.pop(key, JobQueue())
            queue.withdrawn = True
            self._changed.notify_all()
        for entry in queue.entries:
            entry.future.cancel()
        return len(queue.entries)

    def stats(self) -> BatcherStats:
        """Counters and queue lengths."""
        with self._changed:
            queues = self._queues.values()
            counts = self._runner.counts
            return BatcherStats(
                batches=counts.batches,
                segments=counts.segments,
                real_seconds=counts.real_seconds,
                padded_seconds=counts.padded_seconds,
                device_calls=counts.device_calls,
                busy_seconds=self._busy_seconds,
                idle_seconds=self._idle_seconds,
                out_of_memory=counts.out_of_memory,
                budget_seconds=self._runner.budget_seconds,
                queued_segments=sum(len(queue.entries) for queue in queues),
                queued_seconds=sum(queue.seconds for queue in queues),
            )

    def lose(self, error: DeviceLost) -> None:
        """Declare the device lost, for example when a job's own thread has detected it."""
        self._lose(error)

    def close(self) -> None:
        """Stop after the current work; everything still pending fails with Unavailable.

        Does not wait for a lost device, because it may hang; the watchdog limits the wait for the current work.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            while self._lost is None and self._thread.is_alive():
                self._thread.join(JOIN_SECONDS)
        self._watchdog.end()

    def _check_open(self) -> None:
        if self._lost is not None:
            raise DeviceLost(self._lost.message)
        if self._closed:
            raise Unavailable("The engine is closed.")

    def _is_full(self, queue: JobQueue[Item, Result], seconds: float) -> bool:
        """Whether a segment must wait, given that its job has others queued."""
        total = sum(each.seconds for each in self._queues.values())
        return (
            queue.seconds + seconds > self._options.queue_seconds or total + seconds > self._options.total_queue_seconds
        )

    def _work(self) -> None:
        """Run the device thread."""
        try:
            while self._step():
                pass
        except DeviceLost as error:
            self._lose(error)
        except BaseException as error:
            self._lose(DeviceLost(f"The device's thread failed: {error!r}"))
            raise
        else:
            self._abandon(Unavailable("The engine is closed."))

    def _step(self) -> bool:
        """Wait for work and do one piece of it; False when closed."""
        with self._changed:
            started = time.perf_counter()
            while not (self._closed or self._calls or any(q.entries for q in self._queues.values())):
                self._changed.wait()
            self._wait_to_fill()
            self._idle_seconds += time.perf_counter() - started
            if self._closed:
                return False
            calls = self._calls.popitem(last=False) if self._calls else None
            batch = [] if calls else choose_batch(self._queues, self._runner.budget_seconds)
            batch = [entry for entry in batch if entry.future.set_running_or_notify_cancel()]
            self._running = [future for _, future in calls[1]] if calls else [entry.future for entry in batch]
            self._changed.notify_all()
        started = time.perf_counter()
        if calls:
            self._runner.answer(*calls)
        else:
            self._runner.run(batch)
        with self._changed:
            if calls:
                self._expect_more()
            self._running = []
            self._busy_seconds += time.perf_counter() - started
        return True

    def _expect_more(self) -> None:
        """Expect more segments soon: a job has just queued a segment or received a result."""
        self._busy_jobs_until = time.perf_counter() + self._options.max_queue_delay_seconds

    def _wait_to_fill(self) -> None:
        """Wait briefly for the batch to grow while the device is idle."""
        longest = time.perf_counter() + self._options.max_queue_delay_seconds
        while not (self._closed or self._calls):
            queued = sum(queue.seconds for queue in self._queues.values())
            left = min(longest, self._busy_jobs_until) - time.perf_counter()
            if left <= 0 or queued >= self._runner.budget_seconds:
                break
            self._changed.wait(left)

    def _on_fault(self, what: str) -> None:
        if not (self._closed and self._lost is None and not self._thread.is_alive()):  # otherwise it ended as asked
            self._lose(DeviceLost(f"The device does not answer: {what}."))

    def _lose(self, error: DeviceLost) -> None:
        with self._changed:
            if self._lost is not None:
                return
            self._lost = error
            self._closed = True
        self._abandon(error)
        self._on_lost(error)

    def _abandon(self, error: Unavailable) -> None:
        """Fail everything that is pending."""
        with self._changed:
            futures = [entry.future for queue in self._queues.values() for entry in queue.entries]
            futures += [future for waiting in self._calls.values() for _, future in waiting]
            running, self._running = self._running, []
            self._queues.clear()
            self._calls.clear()
            self._changed.notify_all()
        for future in futures:
            if future.set_running_or_notify_cancel():
                settle(future, None, type(error)(error.message))
        for future in running:
            settle(future, None, type(error)(error.message))
