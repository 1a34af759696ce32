"""Runs long blocking library calls in a separate thread, so that a job can stop in the meantime."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
CHECK_SECONDS = 0.2


def interruptible(call: Callable[[], T], check: Callable[[], None], *, left_behind: Callable[[], None]) -> T:
    """Return or raise what `call` does; `check` is called several times a second meanwhile and may raise to stop.

    The call itself cannot be stopped: it runs into its own timeouts, and its outcome is dropped. Afterwards
    `left_behind` runs in its thread and cleans up what the call created.
    """
    future: Future[T] = Future()
    abandoned = threading.Event()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
        if abandoned.is_set():
            left_behind()

    threading.Thread(target=run, name="interruptible", daemon=True).start()
    while True:
        with suppress(TimeoutError):
            # The call itself may raise a TimeoutError too; in that case the future is done.
            return future.result(CHECK_SECONDS)
        if future.done():
            return future.result()
        try:
            check()
        except BaseException:
            abandoned.set()
            if future.done():  # it may have missed the word
                left_behind()
            raise
