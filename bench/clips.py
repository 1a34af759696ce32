"""Measures the rate of a backlog of short clips on one worker: `python -m bench.clips`, with `--against TREE`.

The clips are uploaded before the worker starts. The time counts from the first claim to the last end, by PostgreSQL's
clock; processor time is that of the worker and of the servers during the backlog. With `--against`, the worker of
another checkout takes turns with this one, on the same installation.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg

from bench.audio import recording
from bench.misbehave.stack import Installation, running
from bench.report import Column, Report, Value, conditions, spread
from bench.usage import family_cpu_seconds
from dev.process import Child, spawn, wait_until
from dev.stack import REPOSITORY

DIFFERENT = 8
WAIT_SECONDS = 1800.0
STOP_SECONDS = 30.0
UNFINISHED = "SELECT count(*) FROM jobs WHERE tenant = %s AND status IN ('queued', 'processing')"
TAKEN = """
SELECT count(*) FILTER (WHERE status = 'completed'), extract(epoch FROM max(jobs.finished_at) - min(jobs.started_at)),
    extract(epoch FROM sum(attempts.ended_at - attempts.started_at))
FROM jobs JOIN attempts ON attempts.job_id = jobs.id WHERE jobs.tenant = %s
"""
SLOTS = 4


@dataclass(frozen=True)
class Backlog:
    """One backlog: its clips, the seconds that it took and that all slots were busy, processor time by process."""

    clips: int
    seconds: float
    busy_seconds: float
    cpu_seconds: dict[str, float]
    load: float

    @property
    def rate(self) -> float:
        """Clips per second."""
        return self.clips / self.seconds

    @property
    def idle_ms(self) -> float:
        """How long a slot was free before each clip."""
        return 1000 * (SLOTS * self.seconds - self.busy_seconds) / self.clips


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.clips", description=__doc__)
    parser.add_argument("--clips", type=int, default=3000, help="in a backlog")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a clip")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, whose worker takes turns with this one")
    options = parser.parse_args(arguments)
    trees = {"this tree": REPOSITORY} | ({str(options.against): options.against} if options.against else {})
    done: dict[str, list[Backlog]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(prefix="paraqueue-bench-") as directory:
        place = Path(directory)
        place.chmod(0o711)
        clips = [recording(place / "clips", options.seconds, number).read_bytes() for number in range(DIFFERENT)]
        with running(place, without=("worker",)) as installation:
            for number in range(options.rounds):
                for turn, (name, tree) in enumerate(trees.items()):
                    backlog = _worked_off(installation, tree, f"round-{number}-{turn}", clips, options.clips)
                    done[name].append(backlog)
                    print(f"{name}: {backlog.rate:.2f} clips/s, load {backlog.load:.1f}", file=sys.stderr)
    _report(done, options).show()
    return 0


def _worked_off(installation: Installation, tree: Path, tenant: str, clips: list[bytes], count: int) -> Backlog:
    """Upload a backlog of a new tenant, and let a new worker work it off."""
    key = installation.new_key(tenant)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{installation.port}", headers=headers, trust_env=False) as client:
        for number in range(count):
            name = f"clip-{number}.wav"
            answer = client.post("/v1/transcriptions", files={"file": (name, clips[number % len(clips)])}, timeout=60)
            answer.raise_for_status()
    servers = {name: child.process.pid for name, child in installation.children.items()}
    with psycopg.connect(installation.database_url, autocommit=True) as database, _worker(installation, tree) as worker:
        processes = servers | {"worker": worker.process.pid}
        wait_until(lambda: _began(database, tenant), [worker], WAIT_SECONDS, "the worker began no job")
        before = {name: family_cpu_seconds(pid) for name, pid in processes.items()}
        wait_until(lambda: _left(database, tenant) == 0, [worker], WAIT_SECONDS, "the backlog was not worked off")
        used = {name: family_cpu_seconds(pid) - before[name] for name, pid in processes.items()}
        row = database.execute(TAKEN, [tenant]).fetchone()
    assert row is not None
    if row[0] != count:
        raise RuntimeError(f"{count - row[0]} of {count} clips were not completed")
    return Backlog(row[0], float(row[1]), float(row[2]), used, os.getloadavg()[0])


@contextmanager
def _worker(installation: Installation, tree: Path) -> Iterator[Child]:
    log = installation.logs / "worker.log"
    command = [sys.executable, "-m", "worker.transcription"]
    child = spawn("worker", command, log, env=installation.environment, cwd=tree)
    try:
        yield child
    finally:
        child.stop(STOP_SECONDS)


def _left(database: psycopg.Connection, tenant: str) -> int:
    row = database.execute(UNFINISHED, [tenant]).fetchone()
    assert row is not None
    return int(row[0])


def _began(database: psycopg.Connection, tenant: str) -> bool:
    row = database.execute("SELECT EXISTS (SELECT FROM jobs WHERE tenant = %s AND attempts > 0)", [tenant]).fetchone()
    return row is not None and bool(row[0])


def _report(done: dict[str, list[Backlog]], options: argparse.Namespace) -> Report:
    where = {
        "audio": f"{options.clips} wav files of {options.seconds:g} s, {DIFFERENT} different ones",
        "processes": f"one worker with {SLOTS} slots, demo-zh, on a CPU; PostgreSQL with fsync; all on this machine",
        "load of each round": ", ".join(f"{one.load:.1f}" for backlogs in done.values() for one in backlogs),
    }
    report = Report("clips", conditions(where, ("torch", "sqlalchemy")), "none: each round starts a worker")
    names = list(next(iter(done.values()))[0].cpu_seconds)
    columns = [Column("worker of"), Column("clips_s", "clips/s"), Column("idle", "slot free before a clip, ms", 0)]
    columns += [Column("ms", "CPU ms per clip", 0), *(Column(name, digits=1) for name in names)]
    table = report.table("Backlog of clips", *columns)
    for name, backlogs in done.items():
        row: dict[str, Value] = {"worker of": name, "clips_s": spread(one.rate for one in backlogs)}
        row["idle"] = spread(one.idle_ms for one in backlogs)
        row["ms"] = spread(1000 * sum(one.cpu_seconds.values()) / one.clips for one in backlogs)
        row |= {each: spread(1000 * one.cpu_seconds[each] / one.clips for one in backlogs) for each in names}
        table.add(**row)
    return report


if __name__ == "__main__":
    sys.exit(main())
