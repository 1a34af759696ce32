"""Stream a request body to storage: a thread writes each chunk while the next one arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from starlette.types import Receive

from api.http.threads import in_storage_thread, in_thread_at_once
from common.errors import Unavailable, UploadIncomplete

# Large enough that the thread switch per chunk costs little.
PIECE_BYTES = 1024 * 1024
TICK_SECONDS = 0.5


class OrderedWriter:
    """Passes chunks to a blocking function, one at a time and in order, and accepts the next one meanwhile.

    At most two chunks are in memory: the one being written, and the next one.
    """

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._running: asyncio.Task[None] | None = None

    async def put(self, piece: bytes) -> None:
        """Return when the previous chunk is written. Raises what the function raised for that chunk."""
        await self.settle()
        self._running = asyncio.create_task(in_storage_thread(self._write, piece))

    async def settle(self) -> None:
        """Return when nothing is being written. Raises what the function raised."""
        if self._running is None:
            return
        try:
            await asyncio.shield(self._running)
        finally:
            if self._running.done():  # otherwise we were canceled, and the thread is still writing
                self._running = None

    async def abandon(self) -> None:
        """Like `settle`, for callers that already have an error to report."""
        with suppress(Exception):
            await self.settle()


class BodySink(Protocol):
    """The destination of a body."""

    def write(self, piece: bytes) -> None:
        """Append a chunk; blocks."""

    def tend(self) -> None:
        """Do periodic work while no data arrives; blocks."""


class BodyWriter:
    """Writes one body to one sink. A client that sends nothing for `idle_seconds` is disconnected."""

    def __init__(self, receive: Receive, sink: BodySink, *, idle_seconds: float, closing: Callable[[], bool]) -> None:
        self._receive = receive
        self._sink = sink
        self._idle_seconds = idle_seconds
        self._closing = closing
        self._conveyor = OrderedWriter(sink.write)
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Read to the end of the body. Raises UploadIncomplete, Unavailable on shutdown, and the sink's errors."""
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
                    await in_thread_at_once(self._sink.tend)
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
            await self._hand_over(gathered)  # data that arrived before the connection broke is worth keeping
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
