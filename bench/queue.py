"""Measures whether the queue stays as fast as when it was empty: `python -m bench.queue`.

Times the calls that the API and the workers make, on a PostgreSQL with a few jobs, on one with 100,000 queued and
1,000,000 finished jobs of three tenants, and on the latter with the queue spread over 1,000 tenants.
"""

from __future__ import annotations

import argparse
import re
import secrets
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import event, text

from bench.report import RESULTS, Column, Report, Spread, conditions, spread
from common import ids, jobs
from common.db import Database
from common.job_states import Status
from common.jobs import Estimates, Finished, Job, Submission, Worker
from common.transcript.values import Part
from dev.postgres import Postgres, start_postgres
from dev.stack import REPOSITORY, alembic

MODEL = "demo-zh"
WORKER = Worker("bench", MODEL, "r1", "fp32", "cpu", 4)
TENANTS = 3
MANY_TENANTS = 1000
FEW_JOBS = 24
AT_A_TIME = 4
FINISHED = Finished(MODEL, "r1", "fp32", channels=1, audio_ms=600_000, processing_ms=10_000, no_speech=False)
LAST_PART = Part(0, 0, 600_000, (), b"", last=True)
WARMUP_CYCLES = 10
BAR = 2.0
# The bar applies to these four; the others are reported as well.
BARRED = ("submit", "poll", "list", "claim")
TABLES = "jobs|job_tags|attempts|parts|sentences|usage|deliveries"
# The state of a service after some weeks: most jobs are done, and queued ones are recent.
FILL = """
ALTER TABLE jobs DISABLE TRIGGER USER;
INSERT INTO jobs (id, created_at, tenant, status, model, channels, priority, tags, source_kind, source_url, audio_ms,
                  processed_ms, started_at, finished_at, attempts, audio_deleted_at, processing_ms)
SELECT gen_random_uuid(), moment, 'tenant-' || n %% {tenants}, state, '{model}', 'mix',
       CASE WHEN n %% 10 = 0 THEN 9 WHEN n %% 10 = 1 THEN 0 ELSE 5 END, ARRAY['tag-' || n %% 1000], 'https',
       'https://example.com/a', 600000, 600000, moment, CASE WHEN state <> 'queued' THEN moment END,
       CASE WHEN state <> 'queued' THEN 1 ELSE 0 END, moment, 10000
FROM (SELECT n, now() - make_interval(secs => n * 2) AS moment,
             CASE WHEN n <= {queued} THEN 'queued' WHEN n %% 50 = 0 THEN 'failed' WHEN n %% 50 = 1 THEN 'canceled'
                  ELSE 'completed' END AS state
      FROM generate_series(1, {queued} + {finished}) AS n) AS made;
INSERT INTO job_tags (job_id, tag, tenant, created_at) SELECT id, tags[1], tenant, created_at FROM jobs;
INSERT INTO attempts (job_id, token, run, number, worker, ended_at)
SELECT id, gen_random_uuid(), 1, 1, 'bench', now() FROM jobs WHERE status <> 'queued';
INSERT INTO parts (job_id, run, number, start_ms, end_ms, sentences)
SELECT id, 1, 0, 0, 600000, 0 FROM jobs WHERE status = 'completed';
INSERT INTO usage (job_id, run, ended_at, tenant, model, tags, status, audio_ms, processing_ms)
SELECT id, 1, finished_at, tenant, model, tags, status, 600000, 10000 FROM jobs WHERE status <> 'queued';
ALTER TABLE jobs ENABLE TRIGGER USER;
""".replace("%%", "%")


class Plans:
    """The plan of each statement that PostgreSQL runs, reported by auto_explain."""

    def __init__(self, database: Database) -> None:
        self.notices: list[str] = []
        event.listen(database.engine, "connect", self._listen)
        database.engine.dispose()

    def _listen(self, connection: psycopg.Connection, _record: object) -> None:
        connection.add_notice_handler(self._hear)
        for statement in ("LOAD 'auto_explain'", "SET auto_explain.log_min_duration = 0"):
            connection.execute(statement)
        connection.execute("SET auto_explain.log_level = 'notice'")
        connection.commit()

    def _hear(self, notice: psycopg.errors.Diagnostic) -> None:
        if (notice.message_primary or "").startswith("duration"):
            self.notices.append(notice.message_primary or "")

    def scans(self) -> list[str]:
        """How each table was read, without duplicates."""
        scans = re.findall(r"((?:\w+ )*Scan (?:Backward )?(?:using \w+ on|on) \w+)", "\n".join(self.notices))
        return sorted({scan.strip() for scan in scans if re.search(rf" on ({TABLES}|jobs_\w+)$", scan)})


class Place:
    """One database, the durations of calls on it in milliseconds, and how they read its tables."""

    def __init__(self, name: str, url: str) -> None:
        self.name = name
        self.database = Database(url.replace("postgresql://", "postgresql+psycopg://", 1), 4)
        self.took: dict[str, list[float]] = defaultdict(list)
        self.scans: dict[str, set[str]] = defaultdict(set)
        self.plans: Plans | None = None
        self._outlook = Estimates(self.database)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Record how long a call takes or, once `plans` is set, how it reads tables."""
        if self.plans is not None:
            self.plans.notices.clear()
        began = time.perf_counter()
        yield
        if self.plans is None:
            self.took[what].append((time.perf_counter() - began) * 1000)
        else:
            self.scans[what].update(self.plans.scans())

    def cycle(self, number: int) -> None:
        """Run a typical workload: some jobs are submitted, polled, dispatched, claimed and completed."""
        for place in range(AT_A_TIME):
            job = self._come(f"tenant-{(number + place) % TENANTS}")
        with self.timed("look at the line"):
            Estimates(self.database).of(job)
        for job_id in self._dispatch():
            self._work(job_id)
        with self.timed("sweep for leases"):
            jobs.rescue_expired(self.database)

    def _come(self, tenant: str) -> Job:
        database = self.database
        submission = Submission(ids.new_id(), MODEL, "https", url="https://example.com/a", tenant=tenant)
        with self.timed("submit"):
            job = jobs.submit(database, submission)
        with self.timed("poll"):
            self._outlook.of(jobs.get(database, job.id))
            jobs.attempts(database, job.id)
        with self.timed("list"):
            jobs.page(database, tenant=tenant)
        with self.timed("list failed"):
            jobs.page(database, tenant=tenant, status=Status.FAILED)
        with self.timed("list a tag"):
            jobs.page(database, tenant=tenant, tag="tag-77")
        return job

    def _dispatch(self) -> list[uuid.UUID]:
        jobs.renew(self.database, WORKER, [], lease_seconds=60, draining=False)
        announced: list[uuid.UUID] = []
        with self.timed("dispatch"):
            jobs.dispatch(self.database, lambda job_id, _model: announced.append(job_id), redispatch_seconds=60)
        if len(announced) != AT_A_TIME:
            raise RuntimeError(f"{len(announced)} jobs were announced for {AT_A_TIME} free slots")
        return announced

    def _work(self, job_id: uuid.UUID) -> None:
        with self.timed("claim"):
            held = jobs.claim(self.database, job_id, worker=WORKER.id, model=MODEL, lease_seconds=60)
        if held is None:
            raise RuntimeError("a job that was announced could not be claimed")
        with self.timed("complete"):
            jobs.complete(self.database, held, LAST_PART, FINISHED, first_sentence=0, stage_ms={"transcribing": 10_000})


def main() -> int:
    """Fill the databases, measure, and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.queue")
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--finished", type=int, default=1_000_000)
    parser.add_argument("--cycles", type=int, default=60)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with _server() as server:
        few = _place(server, "few", FEW_JOBS, 0)
        full = _place(server, "many", options.queued, options.finished)
        _measure([few, full], options.cycles)
        _read_plans(full)
        _spread_queue(server.url("many"))
        few_again, spread_out = Place("few", server.url("few")), Place("spread", server.url("many"))
        _measure([few_again, spread_out], options.cycles)
        report = _report(options, (few, full), (few_again, spread_out))
    report.show()
    print(f"written to {report.write(options.results)}")
    return 0


@contextmanager
def _server() -> Iterator[Postgres]:
    """A durable PostgreSQL, as in production."""
    with tempfile.TemporaryDirectory(prefix="paraqueue-bench-") as folder:
        place = Path(folder)
        place.chmod(0o711)  # PostgreSQL runs as another user if we are root
        server = start_postgres(place / "postgres", place / "logs", secrets.token_urlsafe(16))
        try:
            yield server
        finally:
            server.child.stop(seconds=30)


def _place(server: Postgres, name: str, queued: int, finished: int) -> Place:
    began = time.perf_counter()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = server.url(name)
    with tempfile.TemporaryDirectory() as logs:
        alembic(["upgrade", "head"], url, Path(logs), REPOSITORY)
    fill = FILL.format(queued=queued, finished=finished, tenants=TENANTS, model=MODEL)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(fill)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    print(f"{name}: {queued:,} queued, {finished:,} finished in {time.perf_counter() - began:.0f} s", flush=True)
    return Place(name, url)


def _spread_queue(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE jobs SET tenant = 'tenant-' || floor(random() * %s) WHERE status = 'queued'", [MANY_TENANTS]
        )
        connection.execute("VACUUM ANALYZE jobs")


def _measure(places: list[Place], cycles: int) -> None:
    """Measure the databases in turns, so that other load on the machine affects all of them."""
    for number in range(WARMUP_CYCLES + cycles):
        for place in places:
            if number == WARMUP_CYCLES:
                place.took.clear()
            place.cycle(number)


def _read_plans(place: Place) -> None:
    """Record the plans after some cycles, when PostgreSQL has settled on them."""
    place.plans = Plans(place.database)
    for number in range(WARMUP_CYCLES):
        place.scans.clear()
        place.cycle(number)


def _report(options: argparse.Namespace, long: tuple[Place, Place], wide: tuple[Place, Place]) -> Report:
    report = Report(
        "queue",
        conditions(
            {
                "queue": f"{options.queued:,} queued and {options.finished:,} finished jobs, beside {FEW_JOBS} queued",
                "PostgreSQL": _version(long[0].database),
                "settings": "shared_buffers and everything else as PostgreSQL ships, fsync on; loopback; one client",
            },
            packages=("sqlalchemy", "psycopg"),
        ),
        warmup=f"{WARMUP_CYCLES} cycles of {AT_A_TIME} jobs",
    )
    table = report.table(
        "Milliseconds a call takes: median (least-most)",
        Column("call"),
        Column("few", "few jobs"),
        Column("full", f"{TENANTS} tenants"),
        Column("ratio"),
        Column("wide", f"{MANY_TENANTS:,} tenants"),
        Column("wide_ratio", "ratio"),
    )
    for what in long[0].took:
        small, large = (spread(place.took[what]) for place in long)
        small_again, spread_out = (spread(place.took[what]) for place in wide)
        ratio, wide_ratio = _ratio(large, small), _ratio(spread_out, small_again)
        table.add(call=what, few=small, full=large, ratio=ratio, wide=spread_out, wide_ratio=wide_ratio)
        key = what.replace(" ", "_")
        report.bar(f"{key}_ratio", ratio, bar=BAR if what in BARRED else None, at_most=True)
        report.bar(f"{key}_ratio_{MANY_TENANTS}_tenants", wide_ratio, bar=BAR if what in BARRED else None, at_most=True)
    plans = report.table("How tables are read with the full queue", Column("call"), Column("scans"))
    for what, scans in long[1].scans.items():
        plans.add(call=what, scans="; ".join(sorted(scans)))
    whole = sum(scan.startswith("Seq Scan") for scans in long[1].scans.values() for scan in scans)
    report.bar("whole_tables_read", float(whole), bar=0.0, at_most=True)
    return report


def _ratio(large: Spread, small: Spread) -> float:
    return round(large.median / small.median, 2)


def _version(database: Database) -> str:
    with database.transaction() as session:
        return str(session.execute(text("SHOW server_version")).scalar_one())


if __name__ == "__main__":
    sys.exit(main())
