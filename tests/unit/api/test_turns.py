"""Which tenant's call gets the next free place."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from api.http import turns
from api.http.turns import Turns
from tests.unit.api.turn_cases import Calls, run, settled


def test_with_all_places_taken_by_one_tenant_the_next_is_another_s() -> None:
    async def scenario(calls: Calls) -> None:
        for number in range(10):
            calls.start(f"a{number}")
        await settled()
        calls.start("b0")
        await settled()
        assert calls.served == ["a0", "a1", "a2", "a3"]
        await calls.end("a2")
        assert calls.served[4:] == ["b0"]
        await calls.end("a0")
        assert calls.served[5:] == ["a4"]

    run(scenario, places=4, share=4)


def test_no_tenant_gets_more_than_its_share_though_places_are_free() -> None:
    async def scenario(calls: Calls) -> None:
        for number in range(5):
            calls.start(f"a{number}")
        await settled()
        assert calls.served == ["a0", "a1"]
        calls.start("b0")
        await settled()
        assert calls.served[2:] == ["b0"]
        await calls.end("a1")
        assert calls.served[3:] == ["a2"]

    run(scenario, places=4, share=2)


def test_a_tenant_that_is_alone_has_more_places_until_another_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PRESENT_SECONDS", 3600.0)

    async def scenario(calls: Calls) -> None:
        for number in range(5):
            calls.start(f"a{number}")
        await settled()
        assert calls.served == ["a0", "a1", "a2"]
        calls.start("b0")
        await settled()
        await calls.end("b0")  # it is present for a while
        await calls.end("a0")
        await calls.end("a1")
        assert calls.served == ["a0", "a1", "a2", "b0"]
        await calls.end("a2")
        assert calls.served[4:] == ["a3"]

    run(scenario, places=4, most=3, share=1)


def test_a_tenant_that_is_alone_again_gets_more_places_though_no_call_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PRESENT_SECONDS", 0.05)

    async def scenario(calls: Calls) -> None:
        calls.start("b0")
        for number in range(4):
            calls.start(f"a{number}")
        await settled()
        assert calls.served == ["b0", "a0"]
        await calls.end("b0")
        await calls.until_served(4)
        assert calls.served == ["b0", "a0", "a1", "a2"]

    run(scenario, places=4, most=3, share=1)


def test_tenants_that_wait_are_served_in_turn_however_many_calls_each_has() -> None:
    async def scenario(calls: Calls) -> None:
        calls.start("a0")
        await settled()
        for name in ("a1", "a2", "a3", "b0", "b1", "c0"):
            calls.start(name)
        await settled()
        for number in range(6):
            await calls.end(calls.served[number])
        assert calls.served == ["a0", "a1", "b0", "c0", "a2", "b1", "a3"]

    run(scenario, places=1, share=1)


def test_a_call_that_gives_up_leaves_its_place_to_the_next() -> None:
    async def scenario(calls: Calls) -> None:
        calls.start("a0")
        waiting = calls.start("a1")
        granted = calls.start("a2")
        calls.start("a3")
        await settled()
        waiting.cancel()
        await settled()
        calls._ends["a0"].set()
        await asyncio.sleep(0)  # a0 ends, and a2 is given the place, which it does not take
        granted.cancel()
        await settled()
        assert calls.served == ["a0", "a3"]
        await calls.end("a3")
        calls.start("b0")
        await settled()
        assert calls.served[-1] == "b0"

    run(scenario, places=1, share=1)


def test_no_place_is_lost_or_made_up() -> None:
    """Hundreds of calls that end, fail or give up at random moments."""
    chance = random.Random(7)
    places = Turns(5, most=3, share=3)
    held: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def call(tenant: str) -> None:
        async with places.of(tenant):
            held[tenant] += 1
            most["all"] = max(most["all"], held.total())
            most[tenant] = max(most[tenant], held[tenant])
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                if chance.random() < 0.1:
                    raise ValueError
            finally:
                held[tenant] -= 1

    async def many() -> None:
        tasks = []
        for _ in range(600):
            tasks.append(asyncio.create_task(call(chance.choice("abc"))))
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
            if chance.random() < 0.3:
                await asyncio.sleep(0)
        await asyncio.wait(tasks)
        assert held.total() == 0
        async with asyncio.timeout(60), places.of("a"), places.of("a"), places.of("a"), places.of("b"), places.of("b"):
            pass

    asyncio.run(many())
    assert most["all"] == 5
    assert {most[tenant] for tenant in "abc"} == {3}


def test_a_call_that_ends_otherwise_while_it_waits_leaves_its_line() -> None:
    async def scenario(calls: Calls) -> None:
        calls.start("a0")
        await settled()
        waiting = calls.turns._take("a")
        waiting.send(None)
        with pytest.raises(ZeroDivisionError):
            waiting.throw(ZeroDivisionError())
        calls.start("a1")
        await settled()
        await calls.end("a0")
        assert calls.served == ["a0", "a1"]

    run(scenario, places=1, share=1)


def test_one_who_gave_up_costs_its_tenant_no_turn() -> None:
    async def scenario(calls: Calls) -> None:
        calls.start("c0")
        await settled()
        gone = calls.start("a0")
        for name in ("a1", "b0"):
            calls.start(name)
        await settled()
        gone.cancel()
        calls._ends["c0"].set()  # the place is free before the cancelled call has left its line
        await settled()
        assert calls.served == ["c0", "a1"]

    run(scenario, places=1, share=1)


def test_a_tenant_alone_among_thousands_that_left_has_more_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "PRESENT_SECONDS", 0.05)

    async def scenario(calls: Calls) -> None:
        for number in range(2000):
            async with calls.turns.of(f"t{number}"):
                pass
        await asyncio.sleep(0.06)
        for number in range(3):
            calls.start(f"a{number}")
        await settled()
        assert calls.served == ["a0", "a1", "a2"]
        assert list(calls.turns._called_at) == ["a"]

    run(scenario, places=4, most=3, share=1)
