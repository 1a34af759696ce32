"""A background thread works when woken, and regularly if it is to."""

from __future__ import annotations

import threading

import pytest

from common.background import Background


class Counting(Background):
    """Counts its pieces of work; `enough` is set at the third one."""

    def __init__(self, every_seconds: float | None) -> None:
        super().__init__("counting", every_seconds=every_seconds)
        self.done = 0
        self.enough = threading.Event()

    def work(self) -> None:
        self.done += 1
        if self.done == 3:
            self.enough.set()


def test_it_works_regularly_though_nothing_wakes_it() -> None:
    thread = Counting(0.01)
    thread.start()
    assert thread.enough.wait(120)
    thread.stop()


@pytest.mark.parametrize("every_seconds", [None, 3600.0])
def test_it_works_when_woken(every_seconds: float | None) -> None:
    thread = Counting(every_seconds)
    thread.start()
    while not thread.enough.wait(0.01):
        thread.wake()
    thread.stop()


def test_it_works_again_when_its_work_asks_for_it() -> None:
    class Again(Counting):
        def work(self) -> None:
            super().work()
            if self.done < 3:
                self.work_within(0.01)

    thread = Again(None)
    thread.start()
    assert thread.enough.wait(120)
    thread.stop()
    assert thread.done == 3
