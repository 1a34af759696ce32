"""Selects the segments of the next batch: fair between jobs, packed by length, within the budget."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

HORIZON_BUDGETS = 4
"""How many batch budgets of segments are considered for a batch, taken from the jobs in turn."""


@dataclass(eq=False, slots=True)
class Entry(Generic[Item, Result]):
    """A queued segment."""

    item: Item
    seconds: float
    future: Future[Result]


@dataclass(eq=False, slots=True)
class JobQueue(Generic[Item, Result]):
    """The queued segments of one job, oldest first, and their total length."""

    entries: deque[Entry[Item, Result]] = field(default_factory=deque)
    seconds: float = 0.0
    withdrawn: bool = False

    def append(self, entry: Entry[Item, Result]) -> None:
        """Queue a segment."""
        self.entries.append(entry)
        self.seconds += entry.seconds

    def remove(self, taken: set[int]) -> None:
        """Remove the entries with these `id()`s."""
        kept = [entry for entry in self.entries if id(entry) not in taken]
        if len(kept) < len(self.entries):
            self.entries.clear()
            self.entries.extend(kept)
            self.seconds = sum(entry.seconds for entry in kept)


Queues = OrderedDict[Hashable, JobQueue[Item, Result]]
"""Job → its queue; the least recently served job is first."""


def padded_seconds(entries: Sequence[Entry[Any, Any]]) -> float:
    """Cost of a batch: the length of its longest segment times the number of segments."""
    return max((entry.seconds for entry in entries), default=0.0) * len(entries)


def choose_batch(queues: Queues[Item, Result], budget: float) -> list[Entry[Item, Result]]:
    """Take the next batch out of `queues`.

    The job that was served longest ago leads: its oldest segment is in the batch. Around it come the segments
    that are nearest in length. Only segments near the head of every queue are looked at, the same number of
    each job, so a job with a few segments beside one with thousands is done after a few batches. The leading
    job moves to the end of `queues`; jobs with nothing left are removed.
    """
    leader = next((key for key, queue in queues.items() if queue.entries), None)
    if leader is None:
        return []
    first = queues[leader].entries[0]
    others = [queue.entries for key, queue in queues.items() if key != leader]
    horizon = _horizon([queues[leader].entries, *others], budget)
    batch = _around(first, sorted(horizon, key=lambda entry: entry.seconds), budget)
    taken = set(map(id, batch))
    for queue in queues.values():
        queue.remove(taken)
    queues.move_to_end(leader)
    for key in [key for key, queue in queues.items() if not queue.entries]:
        del queues[key]
    return batch


def _horizon(queues: Sequence[deque[Entry[Item, Result]]], budget: float) -> list[Entry[Item, Result]]:
    """The heads of the queues, one of each in turn, until there is enough to choose from."""
    chosen: list[Entry[Item, Result]] = []
    total = 0.0
    for row in zip_longest(*queues):
        for entry in row:
            if entry is not None:
                chosen.append(entry)
                total += entry.seconds
        if total >= HORIZON_BUDGETS * budget:
            break
    return chosen


def _around(first: Entry[Item, Result], ordered: list[Entry[Item, Result]], budget: float) -> list[Entry[Item, Result]]:
    """A run of `ordered` (by length) that holds `first` and stays within the budget of padded seconds."""
    low = high = ordered.index(first)  # Entry has no __eq__: found by identity
    while True:
        shorter = first.seconds - ordered[low - 1].seconds if low > 0 else float("inf")
        longer = ordered[high + 1].seconds - first.seconds if high + 1 < len(ordered) else float("inf")
        fits_shorter = low > 0 and ordered[high].seconds * (high - low + 2) <= budget
        fits_longer = high + 1 < len(ordered) and ordered[high + 1].seconds * (high - low + 2) <= budget
        if fits_shorter and (shorter <= longer or not fits_longer):
            low -= 1
        elif fits_longer:
            high += 1
        else:
            return ordered[low : high + 1]
