"""The misbehaving tenant's own server, to which its links and webhooks lead."""

from __future__ import annotations

import asyncio
from contextlib import suppress

DRIP_SECONDS = 1.0
OK = b"HTTP/1.1 200 OK\r\nContent-Type: audio/wav\r\nConnection: close\r\nContent-Length: "
GONE = b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class TheirServer:
    """`/clip` is a recording, `/drip` one that sends a byte a second, `/gone` is missing, `/hang` never answers."""

    def __init__(self, clip: bytes) -> None:
        self._clip = OK + str(len(clip)).encode() + b"\r\n\r\n" + clip
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Listen on a free port of the loopback interface and return it."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # Canceled with the generator, which asyncio would report as an error of the server.
            with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1]
                if path.startswith(b"/clip"):
                    writer.write(self._clip)
                elif path.startswith(b"/gone"):
                    writer.write(GONE)
                elif path.startswith(b"/drip"):
                    await _drip(writer)
                else:
                    await reader.read()  # until the other side gives up
                await writer.drain()
        finally:
            writer.close()


async def _drip(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"1000000\r\n\r\n")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(DRIP_SECONDS)
