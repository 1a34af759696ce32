"""Batches and calls on the device: what is tried, in which order, when they fail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from worker.engine.batching.adaptive_budget import AdaptiveBudget
from worker.engine.batching.packing import Entry, padded_seconds
from worker.engine.device.faults import FaultRules, attempt, attempt_twice
from worker.engine.device.watchdog import Watchdog

Item = TypeVar("Item")
Result = TypeVar("Result")
Value = TypeVar("Value")


@dataclass(slots=True)
class Counts:
    """Counters since the start, written by the device's thread only. Seconds of audio."""

    batches: int = 0
    segments: int = 0
    real_seconds: float = 0.0
    padded_seconds: float = 0.0
    device_calls: int = 0
    out_of_memory: int = 0


class BatchRunner(Generic[Item, Result]):
    """For the device's thread alone. Every method raises DeviceLost, and else leaves no future without an answer."""

    def __init__(
        self,
        function: Callable[[list[Item]], Sequence[Result]],
        budget_seconds: float,
        faults: FaultRules,
        watchdog: Watchdog,
    ) -> None:
        self.counts = Counts()
        self._function = function
        self._budget = AdaptiveBudget(budget_seconds)
        self._faults = faults
        self._watchdog = watchdog

    @property
    def budget_seconds(self) -> float:
        """Padded seconds that the next batch may have."""
        return self._budget.seconds

    def run(self, batch: list[Entry[Item, Result]]) -> None:
        """Run a batch of segments; on out-of-memory in halves, on another error one by one."""
        pending = [batch] if batch else []
        while pending:
            part = pending.pop()
            if len(part) > 1 and padded_seconds(part) > self._budget.seconds:  # learned since the batch was packed
                pending += _halves(part)[::-1]
                continue
            results, error = self._attempt(self._function, [entry.item for entry in part])
            if error is not None and len(part) > 1:
                pending += self._parts_after(error, part)[::-1]
                continue
            if error is None:
                self._count_batch(part)
            _settle_all([entry.future for entry in part], results, error)

    def answer(self, function: Callable[[list[Any]], Sequence[Any]], waiting: list[tuple[Any, Future[Any]]]) -> None:
        """Answer calls together; if that fails each alone, so that an error stays with its own job."""
        self.counts.device_calls += len(waiting)
        values, error = self._attempt(function, [argument for argument, _ in waiting])
        if error is not None and len(waiting) > 1:
            for one in waiting:
                self.answer(function, [one])
            return
        _settle_all([future for _, future in waiting], values, error)

    def _attempt(
        self, function: Callable[[list[Any]], Sequence[Value]], arguments: list[Any]
    ) -> tuple[Sequence[Value] | None, Exception | None]:
        """One value for each argument, or an error; a single argument is tried again when memory was short."""

        def call() -> Sequence[Value]:
            with self._watchdog.call():
                values = function(arguments)
            if len(values) != len(arguments):
                raise RuntimeError(f"{len(values)} results came back for {len(arguments)} inputs")
            return values

        if len(arguments) > 1:
            return attempt(self._faults, call)
        return attempt_twice(self._faults, call, on_out_of_memory=self._count_out_of_memory)

    def _parts_after(self, error: Exception, batch: list[Entry[Item, Result]]) -> list[list[Entry[Item, Result]]]:
        """What to try next after a batch of several segments failed."""
        if not self._faults.is_out_of_memory(error):
            return [[entry] for entry in batch]
        self._count_out_of_memory()
        halves = _halves(batch)
        self._budget.lower(max(map(padded_seconds, halves)))
        return halves

    def _count_out_of_memory(self) -> None:
        self.counts.out_of_memory += 1

    def _count_batch(self, batch: list[Entry[Item, Result]]) -> None:
        self._budget.fitted(padded_seconds(batch))
        self.counts.batches += 1
        self.counts.segments += len(batch)
        self.counts.real_seconds += sum(entry.seconds for entry in batch)
        self.counts.padded_seconds += padded_seconds(batch)


def settle(future: Future[Any], value: Any, error: Exception | None) -> None:
    """Give a waiting job its value or error, unless it was told meanwhile that the device is lost."""
    with suppress(InvalidStateError):
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(value)


def _settle_all(futures: list[Future[Any]], values: Sequence[Any] | None, error: Exception | None) -> None:
    for number, future in enumerate(futures):
        settle(future, None if values is None else values[number], error)


def _halves(batch: list[Entry[Item, Result]]) -> list[list[Entry[Item, Result]]]:
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]
