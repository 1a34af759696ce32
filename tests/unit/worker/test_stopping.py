"""Stop requests for jobs."""

from __future__ import annotations

import threading

import pytest

from worker.transcription.stop import Stopped, StopReason, StopSignal


def test_nothing_asked_nothing_raised() -> None:
    signal = StopSignal()
    signal.check()
    signal.check_abandoned()
    assert signal.reason is None


def test_a_shutdown_is_soft() -> None:
    signal, abandoned = StopSignal(), threading.Event()
    signal.on_abandon(abandoned.set)
    signal.request(StopReason.SHUTDOWN)
    signal.check_abandoned()
    assert not abandoned.is_set()
    with pytest.raises(Stopped) as stopped:
        signal.check()
    assert stopped.value.reason is StopReason.SHUTDOWN


@pytest.mark.parametrize("reason", [StopReason.CANCELED, StopReason.LOST])
def test_cancel_and_loss_are_hard(reason: StopReason) -> None:
    signal, abandoned = StopSignal(), threading.Event()
    signal.on_abandon(abandoned.set)
    signal.request(reason)
    assert abandoned.is_set()
    for check in (signal.check, signal.check_abandoned):
        with pytest.raises(Stopped) as stopped:
            check()
        assert stopped.value.reason is reason


def test_a_hard_reason_replaces_a_soft_one_and_stays() -> None:
    signal = StopSignal()
    signal.request(StopReason.SHUTDOWN)
    signal.request(StopReason.CANCELED)
    signal.request(StopReason.SHUTDOWN)
    signal.request(StopReason.LOST)
    assert signal.reason is StopReason.CANCELED


def test_who_listens_late_is_called_at_once() -> None:
    signal, calls = StopSignal(), []
    signal.request(StopReason.LOST)
    signal.on_abandon(lambda: calls.append(1))
    assert calls == [1]


def test_the_action_may_ask_the_signal() -> None:
    """It is called without the lock: otherwise this would never end."""
    signal = StopSignal()
    signal.on_abandon(lambda: signal.request(StopReason.SHUTDOWN))
    asking = threading.Thread(target=signal.request, args=(StopReason.CANCELED,), daemon=True)
    asking.start()
    asking.join(5)
    assert not asking.is_alive()
    assert signal.reason is StopReason.CANCELED
