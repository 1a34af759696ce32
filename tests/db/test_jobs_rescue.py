"""Jobs whose worker stopped renewing its lease, and workers that are gone."""

from __future__ import annotations

from common import jobs
from common.db import Database
from common.job_states import Status
from tests.db.job_cases import (
    at_once,
    claimed,
    execute,
    expire_lease,
    one,
    rows,
    snapshot,
    with_worker,
)


def test_a_lease_in_time_is_left_alone(database: Database) -> None:
    held = claimed(database)
    before = snapshot(database, held.job.id)
    assert jobs.rescue_expired(database) == []
    assert snapshot(database, held.job.id) == before


def test_an_expired_lease_puts_the_job_back(database: Database) -> None:
    held = claimed(database)
    expire_lease(database, held.job.id)
    assert jobs.rescue_expired(database) == [jobs.RescuedJob(held.job.id, "worker-1", Status.QUEUED)]
    job = jobs.get(database, held.job.id)
    assert (job.status, job.stage, job.failure, job.finished_at) == (Status.QUEUED, None, None, None)
    [attempt] = jobs.attempts(database, job.id)
    assert (attempt.outcome, attempt.error_code) == ("lost", "worker_lost")
    assert attempt.ended_at is not None
    again = claimed(database, job)
    assert (again.attempt, again.failures) == (2, 0)


def test_an_expired_lease_whose_job_was_to_be_canceled_ends_it(database: Database) -> None:
    held = claimed(database)
    jobs.cancel(database, held.job.id)
    expire_lease(database, held.job.id)
    [lost] = jobs.rescue_expired(database)
    job = jobs.get(database, held.job.id)
    assert lost.status is job.status is Status.CANCELED
    assert job.failure is None
    assert job.finished_at is not None


def test_many_leases_at_once_are_each_taken_back_once(database: Database) -> None:
    held = [claimed(database) for _ in range(30)]
    for item in held[:20]:
        expire_lease(database, item.job.id)
    taken = at_once([lambda: jobs.rescue_expired(database)] * 4)
    job_ids = [lost.job_id for batch in taken for lost in batch]
    assert sorted(job_ids) == sorted(item.job.id for item in held[:20])
    assert dict(rows(database, "SELECT status, count(*) FROM jobs GROUP BY 1")) == {
        "queued": 20,
        "processing": 10,
    }


def test_dead_workers_are_forgotten_after_a_day(database: Database) -> None:
    for name, age in (("dead", 25), ("quiet", 23), ("alive", 0)):
        with_worker(database, worker=name)
        execute(
            database,
            "UPDATE workers SET heartbeat_at = now() - make_interval(hours => :age) WHERE id = :id",
            age=age,
            id=name,
        )
    jobs.forget_dead_workers(database)
    assert one(database, "SELECT string_agg(id, ' ' ORDER BY id) FROM workers") == "alive quiet"
