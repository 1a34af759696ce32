"""An HTTP/1.1 load generator: a separate process that reads a plan from stdin and writes its measurements.

It parses as little as possible, because it shares the machine with the server under test; its own CPU time is part
of the result. With a rate, requests are sent at fixed times, whether or not earlier ones were answered, and latency
is measured from the time at which a request was due, so a server cannot hide a stall.
"""

from __future__ import annotations

import asyncio
import json
import resource
import statistics
import sys
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import cast

import uvloop

# Measurement of a server ends after it has sent no response for this long.
DRAIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send: complete requests, in turn, at `rate` per second or, with 0, whenever a connection is free."""

    port: int
    requests: list[str]
    rate: float
    connections: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements. Latencies are of answered requests; `unanswered` ones were due but got no response in time."""

    rate: float
    p50_ms: float
    p99_ms: float
    most_ms: float
    answered: int
    unanswered: int
    statuses: dict[str, int]
    client_cpu_ms: float


class _Connection(asyncio.Protocol):
    """One keep-alive connection with at most one request under way."""

    def __init__(self, load: _Load) -> None:
        self._load = load
        self._received = bytearray()
        self._due = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not a subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(exc)

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None
        self._due = due
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        start = head.find(b"content-length: ") + 16
        stop = head.find(b"\r\n", start)
        length = int(head[start : stop if stop > 0 else len(head)])
        if len(self._received) >= end + 4 + length:
            status = head[9:12].decode()
            self._received.clear()
            self._load.answered(self, status, self._due)


class _Load:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._requests = [request.encode("latin-1") for request in plan.requests]
        self._sent = 0
        self._free: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self._ends = 0.0
        self._awaited = 0
        self._drained = asyncio.Event()
        self.latencies: list[float] = []
        self.statuses: Counter[str] = Counter()

    async def run(self) -> Measured:
        loop = asyncio.get_running_loop()
        for _ in range(self._plan.connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._plan.port)
            self._free.append(connection)
        began, cpu = time.perf_counter(), _cpu_seconds()
        self._ends = began + self._plan.seconds
        await (self._paced(began) if self._plan.rate else self._pressed())
        due = self._sent + len(self._waiting)
        if len(self.latencies) < due:
            self._awaited = due
            with suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), DRAIN_SECONDS)
        took = time.perf_counter() - began
        return self._measured(due, took, _cpu_seconds() - cpu)

    async def _paced(self, began: float) -> None:
        number = 0
        while (due := began + number / self._plan.rate) < self._ends:
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            self._ask(due)
            number += 1

    async def _pressed(self) -> None:
        while self._free:
            self._ask(time.perf_counter())
        await asyncio.sleep(self._plan.seconds)

    def _ask(self, due: float) -> None:
        if not self._free:
            self._waiting.append(due)
            return
        self._free.popleft().send(self._requests[self._sent % len(self._requests)], due)
        self._sent += 1

    def answered(self, connection: _Connection, status: str, due: float) -> None:
        now = time.perf_counter()
        self.latencies.append(now - due)
        self.statuses[status] += 1
        self._free.append(connection)
        if len(self.latencies) == self._awaited:
            self._drained.set()
        if self._waiting:
            self._ask(self._waiting.popleft())
        elif not self._plan.rate and now < self._ends:
            self._ask(now)

    def lost(self, reason: Exception | None) -> None:
        """Handle a connection closed by the server, which no server under test may do."""
        self.statuses[f"connection lost: {reason}"] += 1
        self._drained.set()

    def _measured(self, due: int, took: float, cpu: float) -> Measured:
        ordered = sorted(self.latencies)
        count = len(ordered)
        return Measured(
            rate=count / took,
            p50_ms=1000 * statistics.median(ordered) if ordered else 0.0,
            p99_ms=1000 * ordered[int(0.99 * (count - 1))] if ordered else 0.0,
            most_ms=1000 * ordered[-1] if ordered else 0.0,
            answered=count,
            unanswered=due - count,
            statuses=dict(self.statuses),
            client_cpu_ms=1000 * cpu / max(1, count),
        )


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Read a plan, run it, and write the measurements."""
    plan = Plan(**json.load(sys.stdin))
    print(json.dumps(asdict(uvloop.run(_Load(plan).run()))))


if __name__ == "__main__":
    main()
