"""The counts of a crew of simulated workers, whose threads share them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.cluster.crew import Done

THREADS, EACH = 4, 20_000


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns as often as possible."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
def test_no_event_is_lost() -> None:
    done = Done()

    def count(_: int) -> None:
        for _ in range(EACH):
            done.count("completed")

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(count, range(THREADS)))
    assert done.counts == {"completed": THREADS * EACH}
