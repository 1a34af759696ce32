"""`make bench-cluster`: simulated workers and tenants on a real, durable PostgreSQL and Valkey.

The workers claim, renew, commit parts and complete like real ones, without an engine; jobs of all tenants arrive at
random. With `--against`, rounds alternate with rounds of another checkout of this repository on the same servers.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import psycopg
import redis
from psycopg import sql

from bench.cluster.load import Load
from bench.cluster.rounds import Round, Servers, Timing, run_round
from bench.cluster.tables import AFTER, BEFORE, report_of
from bench.report import RESULTS
from dev.postgres import Postgres, start_postgres
from dev.stack import REPOSITORY, alembic
from dev.valkey import Valkey, start_valkey

SETTINGS = {"shared_preload_libraries": "pg_stat_statements", "shared_buffers": "512MB", "max_wal_size": "2GB"}
TIMING = Timing()
EXTENSION = "CREATE EXTENSION pg_stat_statements"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    options = _parser().parse_args(arguments)
    load = Load(**{field.name: getattr(options, field.name) for field in fields(Load)})
    trees = {BEFORE: options.against, AFTER: REPOSITORY} if options.against else {AFTER: REPOSITORY}
    timing = Timing(options.warmup, options.seconds, options.drain)
    rounds: dict[str, list[Round]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(prefix="paraqueue-bench-") as directory:
        place = Path(directory)
        place.chmod(0o711)  # PostgreSQL runs as another user if we are root
        with _servers(place) as (postgres, valkey):
            for number in range(options.rounds):
                for name, tree in trees.items():
                    with _emptied(postgres, valkey, tree, place / "logs") as servers:
                        rounds[name].append(run_round(servers, load, timing, tree=tree, logs=place / "logs"))
                    print(_line(number, name, rounds[name][-1]), file=sys.stderr, flush=True)
    report = report_of(rounds, server=", ".join(f"{name}={value}" for name, value in SETTINGS.items()))
    report.show()
    print(f"written to {report.write(options.results)}")
    return 0 if all(one.drained for some in rounds.values() for one in some) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    for field in fields(Load):
        default = field.default
        kind = float if isinstance(default, float) else int
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=default)
    parser.add_argument("--warmup", type=float, default=TIMING.warmup, help="seconds before the measurement")
    parser.add_argument("--seconds", type=float, default=TIMING.measured, help="seconds measured")
    parser.add_argument("--drain", type=float, default=TIMING.drain, help="seconds until all jobs must have ended")
    parser.add_argument("--rounds", type=int, default=1, help="rounds of each tree")
    parser.add_argument("--against", type=Path, help="another checkout, to compare with")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where cluster.json is written")
    return parser


@contextmanager
def _servers(place: Path) -> Iterator[tuple[Postgres, Valkey]]:
    logs = place / "logs"
    valkey = start_valkey(place / "valkey", logs, secrets.token_urlsafe(12))
    try:
        postgres = start_postgres(place / "postgres", logs, secrets.token_urlsafe(12), more=SETTINGS)
        try:
            yield postgres, valkey
        finally:
            postgres.child.stop(seconds=30)
    finally:
        valkey.child.stop(seconds=10)


@contextmanager
def _emptied(postgres: Postgres, valkey: Valkey, tree: Path, logs: Path) -> Iterator[Servers]:
    """A new database with the schema of that tree, and no messages; dropped afterwards."""
    name = f"round_{secrets.token_hex(4)}"
    with redis.Redis.from_url(valkey.url()) as client:
        client.flushall()
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            alembic(["upgrade", "head"], postgres.url(name), logs, tree)
            with psycopg.connect(postgres.url(name), autocommit=True) as own:
                own.execute(EXTENSION)
            processes = {"PostgreSQL": postgres.child.process.pid, "Valkey": valkey.child.process.pid}
            yield Servers(postgres.url(name), valkey.url(), processes)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            connection.execute("CHECKPOINT")


def _line(number: int, name: str, one: Round) -> str:
    return (
        f"round {number + 1}, {name}: {one.completed / one.seconds:.1f} jobs/s, "
        f"{one.renewals / one.seconds:.0f} renewals/s, PostgreSQL {one.cores['PostgreSQL']:.2f} cores, "
        f"{one.sums.completed} of {one.sums.jobs} jobs completed"
    )


if __name__ == "__main__":
    sys.exit(main())
