"""Receivers of webhooks are checked without waiting for a resolver that hangs."""

from __future__ import annotations

import socket
import threading

import pytest

from common.errors import InvalidRequest
from common.links import STANDARD_PORTS
from common.webhooks import receivers
from common.webhooks.receivers import LOOK_UPS_AT_ONCE, Receivers
from tests.waiting import until

PRIVATE = "http://127.0.0.1/"


def look_ups() -> int:
    return sum(thread.name == "receiver-look-up" for thread in threading.enumerate())


def test_names_that_hang_occupy_a_bounded_number_of_threads_and_give_them_back(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hangs(*_arguments: object, **_options: object) -> None:
        assert over.wait(60)
        raise OSError("no such name")

    checks = Receivers((), STANDARD_PORTS)
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", hangs)
        patched.setattr(receivers, "LOOK_UP_SECONDS", 0.01)
        for number in range(3 * LOOK_UPS_AT_ONCE):
            checks.check(f"https://slow-{number}.example/")
        assert look_ups() == LOOK_UPS_AT_ONCE
        over.set()
        until(lambda: not look_ups())
    with pytest.raises(InvalidRequest, match="private"):
        checks.check(PRIVATE)


def test_receivers_are_checked_again_after_the_process_had_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    checks = Receivers((), STANDARD_PORTS)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fails)
        for number in range(3 * LOOK_UPS_AT_ONCE):
            checks.check(f"https://receiver-{number}.example/")
    with pytest.raises(InvalidRequest, match="private"):
        checks.check(PRIVATE)
