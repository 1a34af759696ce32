"""Calls that take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from api.http.turns import Turns


class Calls:
    """Calls that keep their place until the test ends them; `served` lists them in the order in which they got it."""

    def __init__(self, places: int, most: int, share: int, rate: float | None) -> None:
        self.turns = Turns(places, most=most, share=share, rate=rate)
        self.served: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self._more = asyncio.Event()

    def start(self, name: str) -> asyncio.Task[None]:
        """Start a call; the first letter of its name is its tenant."""
        return asyncio.create_task(self._call(name))

    async def _call(self, name: str) -> None:
        async with self.turns.of(name[0]):
            self._ends[name] = asyncio.Event()
            self.served.append(name)
            self._more.set()
            await self._ends[name].wait()

    async def end(self, name: str) -> None:
        """End a call that holds a place."""
        self._ends[name].set()
        await settled()

    async def until_served(self, count: int) -> None:
        """Return when so many calls got a place."""
        async with asyncio.timeout(60):
            while len(self.served) < count:
                self._more.clear()
                await self._more.wait()


async def settled() -> None:
    """Let all tasks run until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


def run(
    scenario: Callable[[Calls], object],
    *,
    places: int,
    share: int,
    most: int | None = None,
    rate: float | None = None,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> None:
    async def whole() -> None:
        calls = Calls(places, most or share, share, rate)
        scene = scenario(calls)
        assert asyncio.iscoroutine(scene)
        await scene
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(whole())
