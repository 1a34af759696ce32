"""A server that answers everything at once with nothing: the control, which shows what the load itself costs.

`python -m bench.misbehave.sink` prints its port and runs until its input ends.
"""

from __future__ import annotations

import asyncio
import re
import sys

LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
BODY = b'{"id": "tr_00000000000000000000000000000000", "status": "completed"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class _Sink(asyncio.Protocol):
    """One connection: skips bodies, answers requests."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._missing = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._missing:
            skipped = min(self._missing, len(data))
            self._missing -= skipped
            data = data[skipped:]
            if self._missing:
                return
            self._transport.write(ANSWER)
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return
        head, rest = bytes(self._head[:end]), bytes(self._head[end + 4 :])
        self._head.clear()
        length = LENGTH.search(head)
        self._missing = int(length[1]) if length else 0
        if not self._missing:
            self._transport.write(ANSWER)
        if rest:
            self.data_received(rest)


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
