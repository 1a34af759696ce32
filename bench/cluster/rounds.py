"""One round: a new cluster works for a while and is measured, then everything that was submitted is finished."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.cluster.crowd import ChildFailed, Crowd, gathered
from bench.cluster.load import Load
from bench.cluster.sums import Sums, completed, latency_ms, sums, unfinished
from bench.cluster.watch import Seen, Watch
from bench.usage import family_cpu_seconds

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of a round: URLs, and the processes whose processor time is measured, by name."""

    database_url: str
    redis_url: str
    processes: dict[str, int]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds before the measurement, of it, and at most until the last job has ended."""

    warmup: float = 15.0
    measured: float = 60.0
    drain: float = 600.0


@dataclass(frozen=True, slots=True)
class Round:
    """What a round measured.

    `cores` is the processor time per second by process; latencies are p50 and p95 in milliseconds, from submission to
    claim, and of renewals behind their time; `counts` are those of the crews.
    """

    load: Load
    seconds: float
    submitted: int
    refused: int
    counts: Counter[str]
    renewals: int
    completed: int
    dispatch_ms: tuple[float, float] | None
    renewal_delay_ms: tuple[float, float] | None
    cores: dict[str, float]
    seen: Seen
    sums: Sums
    drained: bool


def run_round(servers: Servers, load: Load, timing: Timing, *, tree: Path, logs: Path) -> Round:
    """Run a round with the code of `tree` on an empty, migrated database. Raises ChildFailed."""
    environment = {
        "PARAQUEUE_DATABASE_URL": servers.database_url,
        "PARAQUEUE_REDIS_URL": servers.redis_url,
        "PARAQUEUE_LOG_LEVEL": "warning",
        "PYTHONUNBUFFERED": "1",
    }
    with (
        psycopg.connect(servers.database_url, autocommit=True) as connection,
        gathered(load, tree, environment, logs) as crowd,
    ):
        watch = Watch(servers.database_url)
        _pass(crowd, timing.warmup, lambda: False)
        watch.begin()
        used, began = _used(servers, crowd), time.time()
        _pass(crowd, timing.measured, lambda: False)
        now, ended = _used(servers, crowd), time.time()
        seen = watch.end()
        crowd.callers.tell("enough")
        said = crowd.callers.hear()
        drained = _pass(crowd, timing.drain, lambda: unfinished(connection) == 0)
        for one in crowd.everyone:
            one.end_input()
        done = [crew.hear() for crew in crowd.crews]
        delays = [delay for one in done for moment, delay in one["renewals"] if began <= moment <= ended]
        return Round(
            load=load,
            seconds=ended - began,
            submitted=said["submitted"],
            refused=said["refused"],
            counts=sum((Counter(one["counts"]) for one in done), Counter()),
            renewals=len(delays),
            completed=completed(connection, began, ended),
            dispatch_ms=latency_ms(connection, began, ended),
            renewal_delay_ms=_p50_p95([delay * 1000 for delay in delays]),
            cores={name: (now[name] - used[name]) / (ended - began) for name in now},
            seen=seen,
            sums=sums(connection),
            drained=drained,
        )


def _pass(crowd: Crowd, seconds: float, done: Callable[[], bool]) -> bool:
    """Wait until `done`, or for so long; returns whether it was done. Raises ChildFailed if a process ends."""
    deadline = time.monotonic() + seconds
    while not (finished := done()) and time.monotonic() < deadline:
        for one in crowd.everyone:
            if one.process.poll() is not None:
                raise ChildFailed(f"{one.name} ended early: …{one.log.read_text('utf-8', errors='replace')[-1500:]}")
        time.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
    return finished


def _used(servers: Servers, crowd: Crowd) -> dict[str, float]:
    used = {name: family_cpu_seconds(process) for name, process in servers.processes.items()}
    used["tenants"] = family_cpu_seconds(crowd.callers.process.pid)
    used["crews"] = sum(family_cpu_seconds(crew.process.pid) for crew in crowd.crews)
    return used


def _p50_p95(values: list[float]) -> tuple[float, float] | None:
    if len(values) < 2:
        return None
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return cuts[9], cuts[18]
