"""A request's body on its way to storage: gathered into pieces, written by a thread while the next ones arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.types import Receive

from common.errors import Unavailable, UploadIncomplete

# A switch of threads for each costs little then.
PIECE_BYTES = 1024 * 1024
TICK_SECONDS = 0.5


class OrderedWriter:
    """Hands pieces to a function that blocks, one at a time and in order, and takes the next meanwhile.

    Two pieces are in memory at most: the one that is written, and the one that is handed over.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._running: asyncio.Task[None] | None = None

    async def put(self, piece: bytes) -> None:
        """Returns when the piece before is written. Raises what the function raised for that."""
        await self.settle()
        self._running = asyncio.create_task(run_in_threadpool(self._write, piece))

    async def settle(self) -> None:
        """Returns when nothing is being written. Raises what the function raised."""
        if self._running is None:
            return
        try:
            await asyncio.shield(self._running)
        finally:
            if self._running.done():  # else we were canceled, and the thread is at it still
                self._running = None

    async def abandon(self) -> None:
        """As `settle`, for who has an error already."""
        with suppress(Exception):
            await self.settle()


class BodySink(Protocol):
    """What a body is poured into."""

    def write(self, piece: bytes) -> None:
        """Append; blocks."""

    def tend(self) -> None:
        """Called now and then while nothing comes; blocks."""


class BodyWriter:
    """One body into one sink. A client that sends nothing for `idle_seconds` is broken off."""

    def __init__(self, receive: Receive, sink: BodySink, *, idle_seconds: float, closing: Callable[[], bool]) -> None:
        self._receive = receive
        self._sink = sink
        self._idle_seconds = idle_seconds
        self._closing = closing
        self._conveyor = OrderedWriter(sink.write)
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """To the end of the body. Raises UploadIncomplete, Unavailable where the server ends, and as the sink."""
        reader = asyncio.create_task(self._read())
        try:
            while not reader.done():
                await asyncio.wait({reader}, timeout=TICK_SECONDS)
                if reader.done():
                    break
                if self._closing():
                    raise Unavailable("the server is shutting down; continue the upload in a moment")
                async with self._turn:
                    await self._conveyor.settle()
                    await run_in_threadpool(self._sink.tend)
            await reader
        finally:
            reader.cancel()
            with suppress(BaseException):
                await reader
            await self._conveyor.abandon()

    async def _read(self) -> None:
        gathered = bytearray()
        more = True
        try:
            async with asyncio.timeout(self._idle_seconds) as idle:
                while more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise UploadIncomplete("the connection closed before the upload was complete")
                    more = message.get("more_body", False)
                    gathered += message.get("body", b"")
                    if len(gathered) >= PIECE_BYTES or not more:
                        idle.reschedule(None)
                        gathered = await self._hand_over(gathered)
                    idle.reschedule(asyncio.get_running_loop().time() + self._idle_seconds)
        except (TimeoutError, UploadIncomplete, asyncio.CancelledError) as error:
            await self._hand_over(gathered)  # what came before the line broke is worth keeping
            if isinstance(error, TimeoutError):
                raise UploadIncomplete(f"no data was received for {self._idle_seconds:g} s") from None
            raise
        async with self._turn:
            await self._conveyor.settle()

    async def _hand_over(self, gathered: bytearray) -> bytearray:
        if gathered:
            async with self._turn:
                await self._conveyor.put(bytes(gathered))
        return bytearray()
