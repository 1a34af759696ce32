"""Calls that block for long in a library, made in a thread of their own so that a job can stop meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
CHECK_SECONDS = 0.2


def interruptible(call: Callable[[], T], check: Callable[[], None], *, left_behind: Callable[[], None]) -> T:
    """What `call` returns or raises; `check` is called meanwhile, several times a second, and may raise to stop.

    The call itself cannot be stopped then: it is left to its own time-outs, and its outcome is dropped. After it, in
    its thread, `left_behind` clears away what it made in the meantime.
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
            # An error of the call itself may be a TimeoutError as well; then it is done.
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
