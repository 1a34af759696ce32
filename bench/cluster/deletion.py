"""What the end of transcripts costs, row by row and as a dropped partition: `python -m bench.cluster.deletion`."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from bench.cluster.load import CHARACTERS
from bench.report import RESULTS, Column, Report, conditions
from common import jobs
from common.db import Database
from common.time_limit import TimeLimit
from dev.postgres import start_postgres
from dev.stack import REPOSITORY, alembic

SENTENCES_PER_JOB = 1000
FILL = """
INSERT INTO jobs (id, status, model, channels, source_kind, finished_at)
SELECT gen_random_uuid(), 'completed', 'demo-zh', 'mix', 'upload', now() - interval '60 days'
FROM generate_series(1, %(jobs)s);
INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words)
SELECT jobs.id, 1, n, 0, n * 3000, n * 3000 + 2900, 0.987, said.text, said.words
FROM jobs CROSS JOIN generate_series(0, %(sentences)s - 1) n CROSS JOIN LATERAL (
    SELECT string_agg(letter, '' ORDER BY place) || '。' AS text,
           jsonb_agg(jsonb_build_array(letter, n * 3000 + place * 190, n * 3000 + place * 190 + 180, 0.9871)) AS words
    FROM (SELECT place, substr(%(letters)s, 1 + (random() * %(most)s)::int, 1) AS letter
          FROM generate_series(1, 15) place WHERE n IS NOT NULL AND jobs.id IS NOT NULL) AS letters
) AS said;
"""
# As a partition of one week would be: the same rows, keys and indexes.
PARTITION = """
CREATE TABLE sentences_of_a_week (LIKE sentences INCLUDING ALL);
INSERT INTO sentences_of_a_week SELECT * FROM sentences;
"""
SIZES = """
SELECT pg_table_size('sentences') / 1e6, pg_indexes_size('sentences') / 1e6, pg_relation_size('sentences_search') / 1e6
"""


class Session:
    """One session of PostgreSQL, whose processor time and WAL are measured."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._watch = connection

    def cost(self, pid: int, step: Callable[[], Any]) -> tuple[float, float]:
        """Return the seconds of processor time of the session and the megabytes of WAL that a step takes."""
        stat = Path(f"/proc/{pid}/schedstat")
        before, written = int(stat.read_text().split()[0]), self._wal()
        step()
        return (int(stat.read_text().split()[0]) - before) / 1e9, (self._wal() - written) / 1e6

    def _wal(self) -> float:
        row = self._watch.execute("SELECT pg_current_wal_lsn() - '0/0'").fetchone()
        assert row is not None
        return float(row[0])


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.cluster.deletion", description=__doc__)
    parser.add_argument("--jobs", type=int, default=100, help=f"jobs of {SENTENCES_PER_JOB} sentences")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="paraqueue-bench-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # PostgreSQL runs as another user if we are root
        postgres = start_postgres(place / "postgres", place / "logs", secrets.token_urlsafe(12))
        try:
            alembic(["upgrade", "head"], postgres.url(), place / "logs", REPOSITORY)
            report = _measured(postgres.url(), options.jobs)
        finally:
            postgres.child.stop(seconds=30)
    report.show()
    print(f"written to {report.write(options.results)}")
    return 0


def _measured(url: str, number: int) -> Report:
    with (
        psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as operator,
        psycopg.connect(url, autocommit=True) as watch,
    ):
        session, own = Session(watch), operator.info.backend_pid
        values = {
            "jobs": number,
            "sentences": SENTENCES_PER_JOB,
            "letters": CHARACTERS,
            "most": len(CHARACTERS) - 1,
        }
        steps = {"insert": session.cost(own, lambda: operator.execute(FILL, values))}
        operator.execute("VACUUM ANALYZE")
        operator.execute("CHECKPOINT")
        sizes = operator.execute(SIZES).fetchone()
        operator.execute(PARTITION)
        operator.execute("CHECKPOINT")
        database = Database(url, 1)
        with database.transaction() as opened:
            pid = opened.connection().exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        limit = TimeLimit(3600)
        steps["delete by rows (expire_results)"] = session.cost(
            pid, lambda: jobs.expire_results(database, limit, after_seconds=86_400)
        )
        steps["vacuum afterwards"] = session.cost(own, lambda: operator.execute("VACUUM sentences"))
        steps["drop a partition"] = session.cost(own, lambda: operator.execute("DROP TABLE sentences_of_a_week"))
        left = operator.execute("SELECT count(*) FROM sentences").fetchone()
        database.close()
    assert left == (0,)
    assert sizes is not None
    size = {"sentences": f"{number * SENTENCES_PER_JOB:,}, 15 characters each"}
    report = Report("deletion", conditions(size, ("sqlalchemy", "psycopg")), "none")
    table = report.table(
        "The end of transcripts",
        Column("step"),
        Column("cpu", "PostgreSQL, seconds", 3),
        Column("per_million", "per million sentences", 1),
        Column("wal", "WAL, MB", 1),
    )
    for step, (cpu, wal) in steps.items():
        table.add(step=step, cpu=cpu, per_million=cpu * 1000 / number, wal=wal)
    table.note("Size in MB: table {:.0f}, indexes {:.0f}, of these search {:.0f}.".format(*map(float, sizes)))
    report.bar("delete_seconds_per_million", (steps["delete by rows (expire_results)"][0]) * 1000 / number)
    return report


if __name__ == "__main__":
    sys.exit(main())
