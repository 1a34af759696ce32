"""The threads that one tenant may use at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

from api.transcriptions.transcripts import WRITE_BYTES, in_turns

READERS = 30


def test_the_transcripts_of_one_tenant_leave_threads_for_others() -> None:
    """Thirty readers whose blocks never come: another tenant's transcript still comes."""
    over = threading.Event()
    entered: list[int] = []

    def stuck(number: int) -> Iterator[bytes]:
        entered.append(number)
        assert over.wait(60)
        yield b"late"

    async def collected(blocks: Iterator[bytes], tenant: str) -> bytes:
        return b"".join([block async for block in in_turns(blocks, tenant)])

    async def both() -> tuple[bytes, int, list[bytes]]:
        many = [asyncio.create_task(collected(stuck(number), "many")) for number in range(READERS)]
        other = await asyncio.wait_for(collected(iter([b"a", b"b"]), "other"), 60)
        inside = len(entered)
        over.set()
        return other, inside, await asyncio.gather(*many)

    other, inside, many = asyncio.run(both())
    assert other == b"ab"
    assert inside <= 4
    assert many == [b"late"] * READERS


def test_clients_that_stop_reading_keep_nobody_from_a_transcript() -> None:
    async def last_of_many() -> bytes:
        stopped = [in_turns(iter([b"a" * WRITE_BYTES, b"b"]), "many") for _ in range(READERS)]
        assert {await anext(reader) for reader in stopped} == {b"a" * WRITE_BYTES}
        return await asyncio.wait_for(anext(in_turns(iter([b"c"]), "many")), 60)

    assert asyncio.run(last_of_many()) == b"c"
