"""Leases of a worker: a renewal in progress does not extend a lease that was given up in the meantime."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest

from common import jobs
from common.db import Database
from common.jobs import Worker
from tests.db.job_cases import MODEL, claimed
from tests.waiting import until
from worker.transcription.lease import LeaseKeeper

WORKER = Worker("w-1", MODEL, "r1", "fp32", "cpu", 4)
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def leases(database: Database) -> Iterator[LeaseKeeper]:
    keeper = LeaseKeeper(database, WORKER, lease_seconds=60.0)
    keeper.start()
    yield keeper
    keeper.end()


def test_a_lease_that_was_let_go_is_not_extended_by_a_renewal_under_way(
    database: Database, leases: LeaseKeeper
) -> None:
    claim = claimed(database, worker=WORKER.id)

    def give_up() -> None:
        leases.let_go(claim)
        jobs.give_up_lease(database, claim)

    giving_up = threading.Thread(target=give_up)
    with leases.hold(claim), psycopg.connect(database.url) as blocker:
        # A renewal writes the worker's heartbeat before it extends the leases.
        blocker.execute("SELECT 1 FROM workers WHERE id = %s FOR UPDATE", [WORKER.id])
        with psycopg.connect(database.url, autocommit=True) as observer:
            until(lambda: observer.execute(WAITING).fetchone() != (0,))
        giving_up.start()
        giving_up.join(0.3)  # time to give the lease up too early
        blocker.rollback()
        giving_up.join()
        assert [lost.job_id for lost in jobs.rescue_expired(database)] == [claim.job.id]
