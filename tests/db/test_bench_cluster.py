"""The benchmark of a cluster, at a tiny size: what it counts adds up. No figure of speed is asserted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from bench.cluster import costs
from bench.cluster.load import MODEL, Load
from bench.cluster.rounds import Round, Servers, Timing, run_round
from bench.cluster.sums import Sums
from bench.cluster.tables import AFTER, report_of
from bench.cluster.watch import shortened
from common.db import Database
from common.settings import Settings
from dev.stack import REPOSITORY
from dev.valkey import Valkey
from tests.db.job_cases import rows
from tests.servers import flush

JOBS, PARTS, SENTENCES = 12, 3, 4


@pytest.fixture
def tiny(settings: Settings, valkey: Valkey, tmp_path: Path) -> Iterator[Round]:
    """Three workers that run twelve jobs of five tenants; the leases outlast any pause of a busy machine."""
    load = Load(
        workers=3,
        slots=2,
        tenants=5,
        processes=1,
        threads=2,
        job_seconds=1.0,
        parts=PARTS,
        sentences=SENTENCES,
        renew_seconds=0.2,
        lease_seconds=600.0,
        max_jobs=JOBS,
    )
    servers = Servers(settings.postgres_url, settings.redis_url.get_secret_value(), {"PostgreSQL": os.getpid()})
    yield run_round(servers, load, Timing(0.5, 1.0, 180.0), tree=REPOSITORY, logs=tmp_path)
    flush(valkey)


def test_every_job_is_completed_once_and_the_sums_agree(tiny: Round) -> None:
    assert (tiny.submitted, tiny.drained) == (JOBS, True)
    assert tiny.counts["completed"] == JOBS
    assert tiny.sums == Sums(
        jobs=JOBS,
        completed=JOBS,
        attempts=JOBS,
        completed_attempts=JOBS,
        usage=JOBS,
        booked_ms=JOBS * tiny.load.audio_ms,
        parts=JOBS * PARTS,
        sentences=JOBS * PARTS * SENTENCES,
    )
    assert not tiny.counts.keys() & {"leases lost"}
    assert tiny.cores.keys() == {"PostgreSQL", "tenants", "crews"}
    report = report_of({AFTER: [tiny]}, server="as in tests")
    assert f"At the end {JOBS} jobs were completed, 0 were not." in report.tables[0].notes


def test_statements_are_named_by_what_they_touch() -> None:
    assert shortened("UPDATE jobs SET\n status=$1 WHERE jobs.id = $2") == "UPDATE jobs set status"
    assert shortened("SELECT a.b FROM workers LEFT JOIN jobs ON x = y") == "SELECT workers, jobs"
    assert shortened("SELECT set_config($1, $2, true), pg_advisory_xact_lock($3)") == "SELECT set_config"
    assert shortened("COMMIT") == "COMMIT"


def test_the_costs_of_steps_are_measured_while_jobs_run_to_their_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(costs, "WARMUP", 1)
    monkeypatch.setattr(costs, "TIMES", 2)
    values = {"model": MODEL, "slots": costs.SLOTS, "workers": 2, "tenants": 3}
    with psycopg.connect(database.url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(costs.FILL, values)
    measured = costs.measure(database.url)
    assert len(measured) == 7
    assert all(milliseconds > 0 for milliseconds in measured.values())
    found = rows(database, "SELECT status, count(*) FROM jobs GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in found] == [("completed", 3), ("processing", 2 * costs.SLOTS)]
