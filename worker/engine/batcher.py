"""One device fed by many jobs.

A single thread owns the device. It runs two kinds of work: batches of segments, packed by length under a
budget of padded seconds, and questions (small forwards that a job waits for: VAD, punctuation), which go
first because segments come out of them. A batch that is not full waits for a moment while jobs are bringing
segments, and never longer: what is queued then is what runs.

This module knows no model and no torch; it takes callables.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from common.errors import OutOfMemory, ParaqueueError, Unavailable

from .packing import Entry, JobQueue, Queues, choose_batch, padded_seconds

Item = TypeVar("Item")
Result = TypeVar("Result")
Question = TypeVar("Question")
Answer = TypeVar("Answer")

LEAST_BUDGET_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class BatcherStats:
    """Counters since the start, and what is queued now. Seconds of audio, except `busy_seconds` and
    `idle_seconds`."""

    batches: int
    segments: int
    real_seconds: float
    padded_seconds: float
    questions: int
    busy_seconds: float
    """Wall time in which the device worked."""
    idle_seconds: float
    """Wall time in which the device's thread had nothing to do."""
    out_of_memory: int
    budget_seconds: float
    queued_segments: int
    queued_seconds: float


class Batcher(Generic[Item, Result]):
    """Runs `run(items) -> results` on one thread over segments of all jobs.

    `budget_seconds` bounds the padded seconds of a batch (longest segment times number of segments); a
    segment that is longer than that runs alone. `queue_seconds` bounds what one job may have queued: `submit`
    blocks beyond it. `is_out_of_memory` recognises the device's error; the batch is then halved, and the
    budget stays lower from then on. The free device waits at most `fill_seconds` for a batch to fill, and only if
    a segment was queued or a question answered so recently.
    """

    def __init__(
        self,
        run: Callable[[list[Item]], Sequence[Result]],
        *,
        budget_seconds: float,
        queue_seconds: float,
        fill_seconds: float = 0.0,
        is_out_of_memory: Callable[[BaseException], bool] = lambda error: isinstance(error, MemoryError),
        name: str = "device",
    ) -> None:
        self._run = run
        self._budget = budget_seconds
        self._queue_seconds = queue_seconds
        self._fill_seconds = fill_seconds
        self._busy_jobs_until = 0.0
        self._is_out_of_memory = is_out_of_memory
        self._changed = threading.Condition()
        self._queues: Queues[Item, Result] = OrderedDict()
        self._questions: OrderedDict[Any, list[tuple[Any, Future[Any]]]] = OrderedDict()
        self._closed = False
        self._counts = {"batches": 0, "segments": 0, "questions": 0, "out_of_memory": 0}
        self._seconds = {"real": 0.0, "padded": 0.0, "busy": 0.0, "idle": 0.0}
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, key: Hashable, item: Item, seconds: float) -> Future[Result]:
        """Queue a segment of job `key` that is `seconds` long; blocks while that job's queue is full.

        Raises CancelledError if the job is withdrawn while it waits, Unavailable if the batcher is closed.
        The future raises OutOfMemory, or what `run` raised for this very segment.
        """
        entry: Entry[Item, Result] = Entry(item, seconds, Future())
        with self._changed:
            queue = self._queues.setdefault(key, JobQueue())
            while queue.entries and queue.seconds + seconds > self._queue_seconds and not self._closed:
                self._changed.wait()
                if queue.withdrawn:
                    raise CancelledError
                queue = self._queues.setdefault(key, queue)
            self._check_open()
            queue.append(entry)
            self._expect_more()
            self._changed.notify_all()
        return entry.future

    def ask(self, answer: Callable[[list[Question]], Sequence[Answer]], question: Question) -> Answer:
        """Run `answer` on the device's thread, ahead of batches, and wait for it.

        Questions for the same `answer` that wait at the same time are given to it together.
        """
        future: Future[Answer] = Future()
        with self._changed:
            self._check_open()
            self._questions.setdefault(answer, []).append((question, future))
            self._changed.notify_all()
        return future.result()

    def withdraw(self, key: Hashable) -> int:
        """Forget the queued segments of a job and wake its blocked submitter; returns how many there were.

        Their futures are cancelled. A segment that is on the device now is finished.
        """
        with self._changed:
            queue = self._queues.pop(key, JobQueue())
            queue.withdrawn = True
            self._changed.notify_all()
        for entry in queue.entries:
            entry.future.cancel()
        return len(queue.entries)

    def stats(self) -> BatcherStats:
        """Counters and queue lengths, consistent with each other."""
        with self._changed:
            queues = self._queues.values()
            counts, seconds = self._counts, self._seconds
            return BatcherStats(
                batches=counts["batches"],
                segments=counts["segments"],
                real_seconds=seconds["real"],
                padded_seconds=seconds["padded"],
                questions=counts["questions"],
                busy_seconds=seconds["busy"],
                idle_seconds=seconds["idle"],
                out_of_memory=counts["out_of_memory"],
                budget_seconds=self._budget,
                queued_segments=sum(len(queue.entries) for queue in queues),
                queued_seconds=sum(queue.seconds for queue in queues),
            )

    def close(self) -> None:
        """Stop after the work that is running; whoever waits for more gets Unavailable."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable("The engine is closed.")

    def _work(self) -> None:
        """The device's thread."""
        while True:
            with self._changed:
                started = time.perf_counter()
                while not (self._closed or self._questions or any(q.entries for q in self._queues.values())):
                    self._changed.wait()
                self._wait_to_fill()
                self._seconds["idle"] += time.perf_counter() - started
                if self._closed:
                    break
                questions = self._questions.popitem(last=False) if self._questions else None
                batch = [] if questions else choose_batch(self._queues, self._budget)
                self._changed.notify_all()
            started = time.perf_counter()
            if questions:
                self._answer(*questions)
            else:
                self._run_batch(batch)
            with self._changed:
                self._seconds["busy"] += time.perf_counter() - started
        self._abandon()

    def _expect_more(self) -> None:
        """Who brings a segment or has got an answer may bring more in a moment."""
        self._busy_jobs_until = time.perf_counter() + self._fill_seconds

    def _wait_to_fill(self) -> None:
        """Let a batch grow for a moment, while the device is free."""
        longest = time.perf_counter() + self._fill_seconds
        while not (self._closed or self._questions):
            queued = sum(queue.seconds for queue in self._queues.values())
            left = min(longest, self._busy_jobs_until) - time.perf_counter()
            if left <= 0 or queued >= self._budget:
                break
            self._changed.wait(left)

    def _answer(self, answer: Callable[[list[Any]], Sequence[Any]], waiting: list[tuple[Any, Future[Any]]]) -> None:
        """Answer questions together; if that fails each alone, so that an error stays with its own job."""
        with self._changed:
            self._counts["questions"] += len(waiting)
        try:
            answers = _as_many(answer([question for question, _ in waiting]), waiting)
        except Exception as error:
            if len(waiting) > 1:
                for one in waiting:
                    self._answer(answer, [one])
                return
            waiting[0][1].set_exception(self._told(error))
            return
        with self._changed:
            self._expect_more()
        for (_, future), value in zip(waiting, answers, strict=True):
            future.set_result(value)

    def _run_batch(self, batch: list[Entry[Item, Result]]) -> None:
        """Run a batch; on out-of-memory in halves, on another error one by one."""
        batch = [entry for entry in batch if entry.future.running() or entry.future.set_running_or_notify_cancel()]
        if not batch:
            return
        if len(batch) > 1 and padded_seconds(batch) > self._budget:  # learned since the batch was packed
            for part in _halves(batch):
                self._run_batch(part)
            return
        try:
            results = _as_many(self._run([entry.item for entry in batch]), batch)
        except Exception as error:
            for part in self._parts_after(error, batch):
                self._run_batch(part)
            return
        with self._changed:
            self._counts["batches"] += 1
            self._counts["segments"] += len(batch)
            self._seconds["real"] += sum(entry.seconds for entry in batch)
            self._seconds["padded"] += padded_seconds(batch)
        for entry, result in zip(batch, results, strict=True):
            entry.future.set_result(result)

    def _parts_after(self, error: Exception, batch: list[Entry[Item, Result]]) -> list[list[Entry[Item, Result]]]:
        """What to try next after `batch` failed; nothing when a single segment did, which is told the
        error."""
        out_of_memory = self._is_out_of_memory(error)
        if out_of_memory:
            with self._changed:
                self._counts["out_of_memory"] += 1
        if len(batch) == 1:
            batch[0].future.set_exception(self._told(error))
            return []
        if not out_of_memory:
            return [[entry] for entry in batch]
        halves = _halves(batch)
        with self._changed:
            learned = max(map(padded_seconds, halves))
            self._budget = max(min(self._budget, learned), LEAST_BUDGET_SECONDS)
        return halves

    def _told(self, error: Exception) -> Exception:
        """The error as its job sees it."""
        if self._is_out_of_memory(error) and not isinstance(error, ParaqueueError):
            told = OutOfMemory("The device has no memory left even for a single segment.")
            told.__cause__ = error
            return told
        return error

    def _abandon(self) -> None:
        """After closing: nobody waits for ever."""
        with self._changed:
            entries = [entry.future for queue in self._queues.values() for entry in queue.entries]
            asked = [future for waiting in self._questions.values() for _, future in waiting]
            self._queues.clear()
            self._questions.clear()
            self._changed.notify_all()
        for future in (*entries, *asked):
            if future.set_running_or_notify_cancel():
                future.set_exception(Unavailable("The engine is closed."))


def _halves(batch: list[Entry[Item, Result]]) -> list[list[Entry[Item, Result]]]:
    middle = len(batch) // 2
    return [batch[:middle], batch[middle:]]


def _as_many(results: Sequence[Result], wanted: Sequence[object]) -> Sequence[Result]:
    """`results`, if there is one for each of `wanted`."""
    if len(results) != len(wanted):
        raise RuntimeError(f"{len(results)} results came back for {len(wanted)} inputs")
    return results
