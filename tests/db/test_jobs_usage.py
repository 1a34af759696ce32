"""Usage records: each run is recorded once, whichever process ends it, and its record outlives the job."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from common import jobs
from common.db import Database
from common.errors import InvalidRequest, QuotaExceeded
from common.job_states import Stage, Status
from common.jobs import Allowance, Dimension, Job, LeaseLost, Progress, Quota, Usage, Worker
from common.storage import LocalStorage
from tests.db.job_cases import (
    MODEL,
    at_once,
    canceled,
    claimed,
    complete,
    completed,
    execute,
    expire_lease,
    fail,
    failed,
    one,
    part,
    rows,
    submitted,
)

START, END = datetime(2000, 1, 1, tzinfo=UTC), datetime(3000, 1, 1, tzinfo=UTC)


def booked(database: Database) -> list[tuple[object, ...]]:
    """(run, status, error code, audio, processing) of all rows."""
    query = "SELECT run, status, error_code, audio_ms, processing_ms FROM usage ORDER BY job_id, run"
    return [tuple(row) for row in rows(database, query)]


def used(database: Database, *group_by: Dimension, tenant: str | None = "default") -> tuple[Usage, ...]:
    return jobs.usage(database, tenant, group_by=group_by, start=START, end=END)


def half_done(database: Database, job: Job | None = None) -> jobs.Claim:
    """A claim whose job has a part of 10 s, and whose worker says that it is at 12 s."""
    held = claimed(database, job)
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    progress = Progress(held.token, Stage.TRANSCRIBING, 12_000, None)
    jobs.renew(
        database, Worker("worker-1", MODEL, "r1", "fp32", "cpu", 2), [progress], lease_seconds=60, draining=False
    )
    return held


def by_a_worker(database: Database) -> None:
    held = half_done(database)
    jobs.cancel(database, held.job.id)
    jobs.stop_canceled(database, held, stage_ms={"transcribing": 700})


def by_a_shutdown(database: Database) -> None:
    held = half_done(database)
    jobs.cancel(database, held.job.id)
    jobs.release(database, held, stage_ms={"transcribing": 700})


def by_the_client_later(database: Database) -> None:
    held = half_done(database)
    jobs.release(database, held, stage_ms={"transcribing": 700})
    jobs.cancel(database, held.job.id)


def by_a_delete(database: Database, storage: Path) -> None:
    held = half_done(database)
    jobs.release(database, held, stage_ms={"transcribing": 700})
    jobs.delete_job(database, LocalStorage(storage), held.job.id)


def test_a_completed_run_is_booked_with_its_audio_and_time(database: Database) -> None:
    key = uuid.uuid4()
    job = completed(database, submitted(database, tags=("a", "b"), key_id=key, tenant="acme"))
    [row] = rows(database, "SELECT * FROM usage")
    assert (row.job_id, row.run, row.tenant, row.key_id, row.model) == (job.id, 1, "acme", key, MODEL)
    assert (row.status, row.error_code, row.tags) == ("completed", None, ["a", "b"])
    assert (row.audio_ms, row.processing_ms) == (10_000, 500)
    assert row.ended_at == job.finished_at


@pytest.mark.parametrize("end", [by_a_worker, by_a_shutdown, by_the_client_later])
def test_a_canceled_run_is_booked_with_what_was_done_of_it(database: Database, end: Callable[[Database], None]) -> None:
    end(database)
    assert booked(database) == [(1, "canceled", None, 12_000, 700)]


def test_deleting_a_queued_job_books_what_was_done_of_it(database: Database, tmp_path: Path) -> None:
    by_a_delete(database, tmp_path)
    assert one(database, "SELECT count(*) FROM jobs") == 0
    assert booked(database) == [(1, "canceled", None, 12_000, 700)]


def test_a_job_that_no_worker_ever_had_is_booked_with_nothing(database: Database) -> None:
    canceled(database)
    assert booked(database) == [(1, "canceled", None, 0, 0)]


def test_a_failed_run_is_booked_with_its_code_and_the_time_of_all_attempts(database: Database) -> None:
    held = half_done(database)
    failure = {"code": "storage_unavailable", "message": "m", "stage_ms": {"transcribing": 300}}
    jobs.try_again(database, held, pause_seconds=0, **failure)  # type: ignore[arg-type]
    assert booked(database) == []
    again = claimed(database, held.job)
    jobs.fail(database, again, code="audio_invalid", message="m", retryable=False, stage_ms={"transcribing": 40})
    assert booked(database) == [(1, "failed", "audio_invalid", 12_000, 340)]


def test_a_run_that_the_sweep_ends_is_booked(database: Database) -> None:
    held = half_done(database)
    jobs.cancel(database, held.job.id)
    expire_lease(database, held.job.id)
    jobs.rescue_expired(database)
    assert booked(database) == [(1, "canceled", None, 12_000, 0)]


def test_each_run_of_a_job_is_booked_by_itself(database: Database) -> None:
    job = jobs.retry(database, failed(database).id)
    assert len(booked(database)) == 1
    completed(database, job)
    assert booked(database) == [(1, "failed", "audio_empty", 0, 0), (2, "completed", None, 10_000, 500)]


def test_of_many_who_end_a_run_at_once_one_books_it(database: Database) -> None:
    held = claimed(database)

    def end() -> None:
        try:
            complete(database, held)
        except LeaseLost:
            return

    at_once([end] * 8)
    assert len(booked(database)) == 1


def test_an_end_that_is_rolled_back_is_not_booked(database: Database) -> None:
    held = claimed(database)
    expire_lease(database, held.job.id)
    jobs.rescue_expired(database)
    with pytest.raises(LeaseLost):
        complete(database, held)
    assert booked(database) == []


def test_usage_outlives_its_job(database: Database, tmp_path: Path) -> None:
    job = completed(database)
    before = used(database)
    jobs.delete_job(database, LocalStorage(tmp_path), job.id)
    assert used(database) == before == (Usage(runs=1, completed=1, audio_ms=10_000, processing_ms=500),)


def test_without_groups_everything_is_one_sum_even_of_nothing(database: Database) -> None:
    assert used(database) == (Usage(),)
    assert used(database, Dimension.KEY) == ()
    for _ in range(2):
        completed(database)
    fail(database, half_done(database))
    canceled(database)
    [usage] = used(database)
    assert (usage.runs, usage.completed, usage.failed, usage.canceled) == (4, 2, 1, 1)
    assert (usage.audio_ms, usage.processing_ms) == (32_000, 1000)
    assert usage.failures == {"audio_empty": 1}


def test_groups_by_key_model_and_tag(database: Database) -> None:
    first, second = uuid.UUID(int=1), uuid.UUID(int=2)
    completed(database, submitted(database, key_id=first, tags=("a", "b")))
    completed(database, submitted(database, key_id=first, model="large"))
    failed(database, submitted(database, key_id=second, tags=("b",)))
    by_key = {item.key_id: item for item in used(database, Dimension.KEY)}
    assert {key: item.runs for key, item in by_key.items()} == {first: 2, second: 1}
    assert by_key[second].failures == {"audio_empty": 1}
    assert {item.model: item.runs for item in used(database, Dimension.MODEL)} == {MODEL: 2, "large": 1}
    assert {item.tag: item.runs for item in used(database, Dimension.TAG)} == {"a": 1, "b": 2, None: 1}
    both = used(database, Dimension.TAG, Dimension.KEY)
    assert {(item.key_id, item.tag): item.completed for item in both} == {
        (first, "a"): 1,
        (first, "b"): 1,
        (first, None): 1,
        (second, "b"): 0,
    }


def test_days_are_those_of_utc_and_an_end_is_not_in_its_time(database: Database) -> None:
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    for offset in (-1, 0, 1):
        job = completed(database)
        moment = midnight + timedelta(milliseconds=offset)
        execute(database, "UPDATE usage SET ended_at = :moment WHERE job_id = :id", moment=moment, id=job.id)
    by_day = {item.day: item.runs for item in used(database, Dimension.DAY)}
    assert by_day == {date(2026, 3, 1): 1, date(2026, 3, 2): 2}
    [before] = jobs.usage(database, "default", start=START, end=midnight)
    [after] = jobs.usage(database, "default", start=midnight, end=END)
    assert (before.runs, after.runs) == (1, 2)


def test_a_tenant_sees_its_own_usage_and_the_operator_everybodys(database: Database) -> None:
    for tenant in ("acme", "acme", "umbrella"):
        completed(database, submitted(database, tenant=tenant))
    assert used(database, tenant="umbrella")[0].runs == 1
    assert used(database, tenant="nobody")[0].runs == 0
    everybody = used(database, Dimension.TENANT, tenant=None)
    assert {item.tenant: item.runs for item in everybody} == {"acme": 2, "umbrella": 1}


def test_too_many_groups_are_refused(database: Database) -> None:
    execute(
        database,
        "INSERT INTO usage (job_id, run, tenant, model, tags, status, audio_ms, processing_ms) "
        "SELECT gen_random_uuid(), 1, 'default', 'm', ARRAY[n::text], 'completed', 1, 1 "
        "FROM generate_series(1, 10001) n",
    )
    with pytest.raises(InvalidRequest):
        used(database, Dimension.TAG)
    assert used(database)[0].audio_ms == 10_001


def test_states_that_are_booked_are_the_terminal_ones(database: Database) -> None:
    submitted(database)
    claimed(database)
    for make in (completed, failed, canceled):
        make(database)
    statuses = {status for _, status, *_ in booked(database)}
    assert statuses == {Status.COMPLETED, Status.FAILED, Status.CANCELED}
    assert one(database, "SELECT count(*) FROM usage u JOIN jobs j ON j.id = u.job_id") == 3


def test_quotas_are_held_against_the_sums_of_days(database: Database) -> None:
    key = uuid.uuid4()
    quota = Quota(key=Allowance(audio_minutes_per_month=1))
    for _ in range(2):
        completed(database, submitted(database, key_id=key))
    total = one(database, "SELECT sum(audio_ms) FROM usage WHERE key_id = :key", key=key)
    assert one(database, "SELECT audio_ms FROM usage_daily WHERE key_id = :key", key=key) == total
    submitted(database, key_id=key, quota=quota)
    execute(database, "UPDATE usage_daily SET audio_ms = 60000")
    with pytest.raises(QuotaExceeded):
        submitted(database, key_id=key, quota=quota)


def test_a_retry_counts_for_the_key_that_asks(database: Database) -> None:
    key, quota = uuid.uuid4(), Quota(key=Allowance(max_queued=2))
    ended = [failed(database, submitted(database)) for _ in range(3)]

    def retry(job: Job) -> Job:
        with database.transaction() as session:
            return jobs.retry_in(session, job.id, key_id=key, quota=quota)

    for job in ended[:2]:
        retry(job)
    with pytest.raises(QuotaExceeded):
        retry(ended[2])
    assert jobs.get(database, ended[2].id).status is Status.FAILED
    assert one(database, "SELECT count(*) FROM jobs WHERE key_id = :key", key=key) == 2
