"""What each step costs PostgreSQL at some sizes of a cluster: `python -m bench.cluster.costs`.

It fills a database with so many workers whose slots are all taken, then renews, dispatches and runs jobs through
common/jobs on one connection, and reads the processor time of that connection's session from the kernel. So the figures
do not depend on what else the machine does. With `--against`, the same is measured with another checkout, in turns.
"""

from __future__ import annotations

import argparse
import json
import random
import secrets
import subprocess
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from bench.cluster.load import MODEL, Load, spoken
from bench.cluster.voice import own_voice
from bench.report import RESULTS, Column, Report, Value, conditions, spread
from common import ids, jobs
from common.db import Database
from common.job_states import Stage
from common.jobs import Finished, Progress, Submission, Worker
from dev.postgres import start_postgres
from dev.stack import REPOSITORY, alembic

SLOTS = 4
TENANTS = 50
WARMUP, TIMES = 10, 40
LOAD = Load(sentences=90, parts=2)
BEFORE, AFTER = "the other tree", "this tree"
FILL = """
INSERT INTO workers (id, model, revision, precision, device, slots, heartbeat_at)
SELECT 'worker-' || n, %(model)s, 'r1', 'fp32', 'cpu', %(slots)s + 1, now() + interval '1 day'
FROM generate_series(1, %(workers)s) n;
INSERT INTO jobs (id, tenant, key_id, status, stage, model, channels, source_kind, audio_key, audio_sha256, attempts,
                  started_at, declared_ms, lease_token, lease_worker, lease_expires_at)
SELECT gen_random_uuid(), 'tenant-' || n %% %(tenants)s, md5((n %% %(tenants)s)::text)::uuid, 'processing',
       'transcribing', %(model)s, 'mix', 'upload', 'audio/' || n, md5(n::text), 1, now(), 600000, gen_random_uuid(),
       'worker-' || (n - 1) / %(slots)s + 1, now() + interval '1 day'
FROM generate_series(1, %(workers)s * %(slots)s) n;
"""
FINISHED = Finished(MODEL, "r1", "fp32", channels=1, audio_ms=LOAD.audio_ms, processing_ms=20_000, no_speech=False)


class Meter:
    """The processor time of one session of PostgreSQL, in milliseconds by step."""

    def __init__(self, database: Database) -> None:
        self.spent: dict[str, list[float]] = defaultdict(list)
        with database.transaction() as session:
            pid = session.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        self._path = Path(f"/proc/{pid}/schedstat")

    def __call__(self, what: str, step: Callable[[], Any]) -> Any:
        before = self._used_ms()
        result = step()
        self.spent[what].append(self._used_ms() - before)
        return result

    def _used_ms(self) -> float:
        return int(self._path.read_text().split()[0]) / 1e6


def measure(url: str) -> dict[str, float]:
    """Run every step so many times; returns the milliseconds of one."""
    database = Database(url, 1)
    meter = Meter(database)
    with psycopg.connect(url) as connection:
        held = connection.execute(
            "SELECT lease_worker, array_agg(lease_token) FROM jobs WHERE status = 'processing' GROUP BY 1 LIMIT 50"
        ).fetchall()
    random_ = random.Random(1)
    for number in range(WARMUP + TIMES):
        if number == WARMUP:
            meter.spent.clear()
        name, tokens = held[number % len(held)]
        _renew(meter, database, name, tokens, number)
        meter("dispatch, nothing waits", lambda: _dispatch(database))
        _live(meter, database, random_)
    database.close()
    return {what: sum(spent) / len(spent) for what, spent in meter.spent.items()}


def _renew(meter: Meter, database: Database, name: str, tokens: list[uuid.UUID], number: int) -> None:
    worker = Worker(name, MODEL, "r1", "fp32", "cpu", SLOTS + 1)
    progress = [Progress(token, Stage.TRANSCRIBING, 1000 * number, LOAD.audio_ms) for token in tokens]
    meter("renewal", lambda: jobs.renew(database, worker, progress, lease_seconds=86_400, draining=False))


def _dispatch(database: Database) -> int:
    return jobs.dispatch(database, lambda _id, _model: None, redispatch_seconds=86_400)


def _live(meter: Meter, database: Database, random_: random.Random) -> None:
    """The life of a job, from submission to its end."""
    job_id = ids.new_id()
    submission = Submission(
        job_id,
        MODEL,
        "upload",
        tenant="tenant-1",
        audio_key=f"audio/{job_id.hex}/source",
        audio_sha256=job_id.hex * 2,
    )
    meter("submit", lambda: jobs.submit(database, submission))
    meter("dispatch, a job waits", lambda: _dispatch(database))
    claim = meter("claim", lambda: jobs.claim(database, job_id, worker="worker-1", model=MODEL, lease_seconds=86_400))
    parts = [spoken(LOAD, number, random_) for number in range(LOAD.parts)]
    meter("part of 90 sentences", lambda: jobs.commit_part(database, claim, parts[0], first_sentence=0))
    stage_ms = {Stage.TRANSCRIBING.value: 20_000}
    meter(
        "last part of 90, end",
        lambda: jobs.complete(database, claim, parts[1], FINISHED, first_sentence=90, stage_ms=stage_ms),
    )


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster.costs", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", type=Path, help="another checkout, to compare with")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        say = own_voice()
        say(measure(sys.stdin.read()))
        return 0
    trees = {BEFORE: options.against, AFTER: REPOSITORY} if options.against else {AFTER: REPOSITORY}
    found: dict[tuple[int, str], dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory(prefix="paraqueue-bench-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # PostgreSQL runs as another user if we are root
        postgres = start_postgres(place / "postgres", place / "logs", secrets.token_urlsafe(12))
        try:
            for _ in range(options.rounds):
                for workers in options.workers:
                    for name, tree in trees.items():
                        with _filled(postgres.url, tree, workers, place / "logs") as url:
                            for step, cost in _measured(tree, url).items():
                                found.setdefault((workers, name), defaultdict(list))[step].append(cost)
        finally:
            postgres.child.stop(seconds=30)
    report = _report(found, options.workers, list(trees))
    report.show()
    print(f"written to {report.write(options.results)}")
    return 0


@contextmanager
def _filled(url_of: Callable[[str], str], tree: Path, workers: int, logs: Path) -> Iterator[str]:
    name = f"costs_{secrets.token_hex(4)}"
    with psycopg.connect(url_of("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            alembic(["upgrade", "head"], url_of(name), logs, tree)
            with psycopg.connect(url_of(name), autocommit=True, cursor_factory=psycopg.ClientCursor) as own:
                own.execute(FILL, {"model": MODEL, "slots": SLOTS, "workers": workers, "tenants": TENANTS})
                own.execute("VACUUM ANALYZE")
                own.execute("CHECKPOINT")
            yield url_of(name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _measured(tree: Path, url: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.cluster.costs", "--measure"]
    began = time.monotonic()
    # Not on the command line, where every user could see the password.
    done = subprocess.run(command, cwd=tree, input=url, stdout=subprocess.PIPE, text=True, check=True)
    print(f"{tree.name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    costs: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return costs


def _report(found: dict[tuple[int, str], dict[str, list[float]]], sizes: list[int], trees: list[str]) -> Report:
    where = {
        "cluster": f"{SLOTS} running jobs per worker, {TENANTS} tenants, each step {TIMES} times in a round",
        "PostgreSQL": "settings as it ships, fsync on; the session's own time, not that of background processes",
    }
    report = Report("cluster_costs", conditions(where, ("sqlalchemy", "psycopg")), f"{WARMUP} of each step")
    columns = [Column(f"{size} {tree}", f"{size:,} workers, {tree}") for size in sizes for tree in trees]
    table = report.table("Processor time of PostgreSQL, milliseconds", Column("step"), *columns)
    for step in next(iter(found.values())):
        row: dict[str, Value] = {f"{size} {tree}": spread(costs[step]) for (size, tree), costs in found.items()}
        table.add(step=step, **row)
    largest = {tree: found[max(sizes), tree] for tree in trees}
    for step, costs in largest[AFTER].items():
        key = step.replace(",", "").replace(" ", "_")
        report.bar(f"{key}_ms", spread(costs).median)
        if BEFORE in largest:
            report.bar(f"{key}_ratio", spread(costs).median / spread(largest[BEFORE][step]).median)
    return report


if __name__ == "__main__":
    sys.exit(main())
