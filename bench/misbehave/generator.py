"""The process of the misbehaving tenant: `python -m bench.misbehave.generator`.

Reads an `Orders` object as a line of JSON, says `{"started": true}`, misbehaves until its input ends, and prints what
it was answered and the processor time that it took.
"""

from __future__ import annotations

import asyncio
import json
import random
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import uvloop

from bench.misbehave.attacks import KINDS, NOISE_BYTES, Attack
from bench.misbehave.their_servers import TheirServer


@dataclass(frozen=True, slots=True)
class Orders:
    """What to do to whom; `clip` is the path of the recording that its own server serves."""

    port: int
    key: str
    transcript: str
    kinds: list[str]
    clip: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: answers by kind and status, processor seconds, and how long it ran."""

    answers: dict[str, int]
    cpu_seconds: float
    seconds: float


async def misbehave(orders: Orders, clip: bytes) -> Outcome:
    """Run all kinds at once until standard input ends."""
    theirs = await TheirServer(clip).start()
    noise = random.Random(1).randbytes(NOISE_BYTES)
    attacks = {
        name: Attack(orders.port, orders.key, theirs, orders.transcript, noise, Counter()) for name in orders.kinds
    }
    began, used = time.perf_counter(), _cpu_seconds()
    print(json.dumps({"started": True}), flush=True)
    running = [asyncio.create_task(KINDS[name](attack)) for name, attack in attacks.items()]
    stop = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    failed = [task for task in (await _until(stop, running)) if not task.cancelled() and task.exception()]
    if failed:
        await failed[0]
    answers = {f"{name}: {what}": number for name, one in attacks.items() for what, number in one.answers.items()}
    return Outcome(answers, _cpu_seconds() - used, time.perf_counter() - began)


async def _until(stop: asyncio.Future[str], running: list[asyncio.Task[None]]) -> list[asyncio.Task[None]]:
    await stop
    for task in running:
        task.cancel()
    await asyncio.wait(running)
    return running


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Carry out the orders on standard input."""
    orders = Orders(**json.loads(sys.stdin.readline()))
    outcome = uvloop.run(misbehave(orders, Path(orders.clip).read_bytes()))
    print(json.dumps({"answers": outcome.answers, "cpu_seconds": outcome.cpu_seconds, "seconds": outcome.seconds}))


if __name__ == "__main__":
    main()
