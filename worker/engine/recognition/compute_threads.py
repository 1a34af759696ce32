"""Several cores for one batch: each thread computes some of its segments on its own.

An operation that is divided among threads makes them wait for each other hundreds of times in a batch, and operations
that are not divided leave cores idle. These threads wait for each other once, at the end of the batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


class ComputeThreads:
    """`count` threads, in each of which torch's operations run single-threaded; a count of 1 uses the caller's."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool: ThreadPoolExecutor | None = None
        if count > 1:
            threads = torch.get_num_threads()
            together = threading.Barrier(count)
            self._pool = ThreadPoolExecutor(count, "compute", _single_threaded, (together,))
            for done in [self._pool.submit(int) for _ in range(count)]:
                done.result()
            torch.set_num_threads(threads)  # the last setting is also the default of threads that start later

    def run(
        self, function: Callable[[list[Item]], Sequence[Result]], items: Sequence[Item], size: Callable[[Item], float]
    ) -> list[Result]:
        """`function` over all items, which are divided by `size` so that all threads end at about the same time.

        The results come in the order of `items`. A single item has all of torch's threads for itself. If one thread
        fails, its error is raised when all have ended: a retry must not run beside what is left of the first try.
        """
        if self._pool is None or len(items) < 2:
            return list(function(list(items))) if items else []
        shares = divide([size(item) for item in items], self.count)
        running = [self._pool.submit(function, [items[i] for i in share]) for share in shares]
        wait(running)
        results: dict[int, Result] = {}
        for share, future in zip(shares, running, strict=True):
            results.update(zip(share, future.result(), strict=True))
        return [results[index] for index in range(len(items))]

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """One call on one of the threads; waits for it. May be used from any thread."""
        if self._pool is None:
            return function(*arguments)
        return self._pool.submit(function, *arguments).result()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()


def divide(sizes: Sequence[float], count: int) -> list[list[int]]:
    """Indices in at most `count` shares of about the same sum: each in turn, largest first, to the smallest share."""
    shares: list[list[int]] = [[] for _ in range(min(count, len(sizes)))]
    totals = [0.0] * len(shares)
    for index in sorted(range(len(sizes)), key=lambda i: -sizes[i]):
        smallest = totals.index(min(totals))
        shares[smallest].append(index)
        totals[smallest] += sizes[index]
    return shares


def _single_threaded(together: Any) -> None:
    torch.get_num_threads()  # the first call in a thread sets it up, and would undo the next line later
    torch.set_num_threads(1)
    together.wait()
