"""Renewals: what a worker says every second of the jobs that it holds, and of itself."""

from __future__ import annotations

import uuid
from dataclasses import replace

from sqlalchemy import text

from common import jobs
from common.db import Database
from common.job_states import Stage
from common.jobs import Progress, Renewal
from common.jobs.scheduling.workers import heartbeat
from tests.db.job_cases import (
    LONG,
    WORKER,
    claimed,
    complete,
    execute,
    one,
    rows,
    snapshot,
)
from tests.db.test_jobs_work import ME, renew


def test_renew_extends_the_lease_and_shows_progress(database: Database) -> None:
    held = claimed(database, lease_seconds=1)
    jobs.register_worker(database, ME)
    execute(database, "UPDATE workers SET heartbeat_at = now() - interval '1 hour'")
    assert renew(database, held, processed_ms=2500, declared_ms=10_000) == {held.token: False}
    assert one(database, "SELECT lease_expires_at > now() + interval '5 minutes' FROM jobs")
    job = jobs.get(database, held.job.id)
    assert (job.stage, job.processed_ms, job.progress) == (Stage.TRANSCRIBING, 2500, 0.25)
    assert [worker.id for worker in jobs.live_workers(database)] == [WORKER]


def test_renew_of_many_tells_each_job_its_own(database: Database) -> None:
    held = [claimed(database) for _ in range(3)]
    jobs.cancel(database, held[1].job.id)
    lost = uuid.uuid4()
    progress = [Progress(item.token, Stage.TRANSCRIBING, 1000 * i, None) for i, item in enumerate(held)]
    progress.append(Progress(lost, Stage.FETCHING, 9, None))
    answer = jobs.renew(database, ME, progress, lease_seconds=LONG, draining=False)
    assert answer.held == {held[0].token: False, held[1].token: True, held[2].token: False}
    assert [jobs.get(database, item.job.id).processed_ms for item in held] == [0, 1000, 2000]


def test_a_number_that_cannot_be_stored_costs_nobody_a_lease(database: Database) -> None:
    healthy, hostile = claimed(database), claimed(database)
    progress = [
        Progress(healthy.token, Stage.TRANSCRIBING, 2500, 10_000),
        Progress(hostile.token, Stage.TRANSCRIBING, 2500, 2**70),
    ]
    answer = jobs.renew(database, ME, progress, lease_seconds=LONG, draining=False)
    assert answer.held == {healthy.token: False, hostile.token: False}


def test_renew_of_an_ended_job_is_missing(database: Database) -> None:
    held = claimed(database)
    complete(database, held)
    before = snapshot(database, held.job.id)
    assert renew(database, held, processed_ms=99_999) == {}
    assert snapshot(database, held.job.id) == before


def test_renew_without_jobs_keeps_the_worker_alive(database: Database) -> None:
    jobs.register_worker(database, ME)
    execute(database, "UPDATE workers SET heartbeat_at = now() - interval '1 hour'")
    assert jobs.live_workers(database) == []
    assert jobs.renew(database, ME, [], lease_seconds=LONG, draining=False) == Renewal({}, None)
    assert len(jobs.live_workers(database)) == 1


def test_a_renewal_touches_no_index_and_waits_for_no_disk(database: Database) -> None:
    indexes = [row[0] for row in rows(database, "SELECT indexdef FROM pg_indexes WHERE tablename = 'jobs'")]
    assert len(indexes) > 10
    for column in ("lease_expires_at", "stage", "processed_ms", "declared_ms"):
        assert not [index for index in indexes if column in index], column
    with database.transaction() as session:
        usual = session.scalar(text("SHOW synchronous_commit"))
        session.execute(text("SET LOCAL synchronous_commit = local"))
        heartbeat(session, ME, draining=False)
        assert session.scalar(text("SHOW synchronous_commit")) == "off"
    with database.transaction() as session:
        assert session.scalar(text("SHOW synchronous_commit")) == usual


def test_a_worker_renews_no_lease_of_another(database: Database) -> None:
    held = claimed(database)
    other = replace(ME, id="another")
    progress = [Progress(held.token, Stage.TRANSCRIBING, 1, None)]
    assert jobs.renew(database, other, progress, lease_seconds=LONG, draining=False).held == {}
    assert renew(database, held) == {held.token: False}


def test_a_draining_worker_says_so_with_its_renewal(database: Database) -> None:
    jobs.register_worker(database, ME)
    jobs.renew(database, ME, [], lease_seconds=LONG, draining=True)
    assert jobs.live_workers(database) == []


def test_renewal_brings_a_forgotten_worker_back(database: Database) -> None:
    jobs.renew(database, ME, [], lease_seconds=LONG, draining=False)
    assert [replace(worker, started_at=None) for worker in jobs.live_workers(database)] == [ME]
