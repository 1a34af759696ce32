"""Tenants whose calls hold places for too long wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import uvloop

from api.http import place_time, turns
from api.http.place_time import PlaceTime
from tests.unit.api.turn_cases import Calls, run, settled

LOOPS = pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])


@LOOPS
def test_a_tenant_that_held_places_for_too_long_waits_while_another_is_present(
    monkeypatch: pytest.MonkeyPatch, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.setattr(turns, "PRESENT_SECONDS", 3600.0)
    monkeypatch.setattr(place_time, "BURST_SECONDS", 0.0)

    async def scenario(calls: Calls) -> None:
        for name in ("a0", "b0", "a1", "c0"):
            calls.start(name)
        await settled()
        await calls.end("a0")  # now a is in debt, for hours
        assert calls.served == ["a0", "b0", "c0"]
        calls.start("a2")
        calls.start("d0")
        await settled()
        assert calls.served == ["a0", "b0", "c0", "d0"]

    run(scenario, places=9, share=1, rate=1e-9, loop_factory=loop_factory)


@LOOPS
def test_a_tenant_out_of_debt_is_served_though_no_call_ends(
    monkeypatch: pytest.MonkeyPatch, loop_factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.setattr(turns, "PRESENT_SECONDS", 3600.0)
    monkeypatch.setattr(place_time, "BURST_SECONDS", 0.0)

    async def scenario(calls: Calls) -> None:
        calls.start("b0")
        calls.start("a0")
        await settled()
        await asyncio.sleep(0.02)
        await calls.end("a0")
        calls.start("a1")
        await settled()
        assert calls.served == ["b0", "a0"]
        await calls.until_served(3)
        assert calls.served == ["b0", "a0", "a1"]

    run(scenario, places=9, share=1, rate=0.1, loop_factory=loop_factory)


class Clock:
    """A clock that is advanced by hand, and by `step` with each reading."""

    def __init__(self) -> None:
        self.now, self.step = 0.0, 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now - self.step


def test_a_debt_that_ends_while_turns_are_given_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(turns, "monotonic", clock)
    monkeypatch.setattr(turns, "PRESENT_SECONDS", 3600.0)
    monkeypatch.setattr(place_time, "BURST_SECONDS", 0.0)

    async def scenario(calls: Calls) -> None:
        calls.start("b0")
        calls.start("a0")
        await settled()
        clock.now = 0.01
        await calls.end("a0")
        calls.start("a1")  # in debt until 0.11
        await settled()
        assert calls.served == ["b0", "a0"]
        clock.now, clock.step = 0.1, 0.02
        await calls.until_served(3)

    run(scenario, places=9, share=1, rate=0.1)


def test_a_tenant_that_is_alone_is_never_in_debt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place_time, "BURST_SECONDS", 0.0)

    async def scenario(calls: Calls) -> None:
        for number in range(3):
            calls.start(f"a{number}")
            await settled()
            await calls.end(f"a{number}")
        assert calls.served == ["a0", "a1", "a2"]

    run(scenario, places=2, share=1, rate=1e-9)


def test_time_in_places_drains_at_the_rate_and_bursts_are_exempt() -> None:
    meter = PlaceTime(0.5)
    meter.charge("a", 1.0, now=10.0)
    assert meter.debt("a", 10.0) == 0.0
    meter.charge("a", 2.0, now=10.0)
    assert meter.debt("a", 10.0) == pytest.approx(4.0)
    assert meter.debt("a", 12.0) == pytest.approx(2.0)
    assert meter.debt("a", 14.0) == 0.0
    assert meter.debt("b", 10.0) == 0.0


def test_tenants_that_used_nothing_for_long_are_forgotten() -> None:
    meter = PlaceTime(1.0)
    for number in range(1000):
        meter.charge(f"t{number}", 0.5, now=float(number))
    assert len(meter._used) <= 2
