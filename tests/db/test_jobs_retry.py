"""A retry makes a new run of a job that has failed or was canceled."""

from __future__ import annotations

import pytest

from common import jobs
from common.db import Database
from common.errors import Expired, WrongState
from common.job_states import Status
from common.storage import LocalStorage
from tests.db.job_cases import (
    MAKE,
    NO_LIMIT,
    at_once,
    claimed,
    complete,
    completed,
    execute,
    fail,
    failed,
    one,
    part,
    snapshot,
    submitted,
    uploaded,
)


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELED])
def test_retry_starts_a_new_run_and_keeps_the_history(database: Database, status: Status) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "旧。"), first_sentence=0)
    if status is Status.CANCELED:
        jobs.cancel(database, held.job.id)
        jobs.stop_canceled(database, held, stage_ms={})
    else:
        fail(database, held)
    job = jobs.retry(database, held.job.id)
    assert (job.status, job.run, job.attempts, job.processed_ms) == (Status.QUEUED, 2, 0, 0)
    assert (job.failure, job.finished_at, job.cancel_requested) == (None, None, False)
    again = claimed(database, job)
    assert (again.attempt, again.failures, again.resume, again.sentences) == (1, 0, None, 0)
    complete(database, again, "新。")
    texts = [item.text for item in jobs.sentences(database, jobs.get(database, job.id))]
    assert texts == ["新。"]
    history = [(item.run, item.number, item.outcome) for item in jobs.attempts(database, job.id)]
    assert history == [(1, 1, status.value), (2, 1, "completed")]


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PROCESSING, Status.COMPLETED])
def test_retry_of_what_has_not_failed_is_refused(database: Database, status: Status) -> None:
    job = MAKE[status](database)
    before = snapshot(database, job.id)
    with pytest.raises(WrongState, match=status):
        jobs.retry(database, job.id)
    assert snapshot(database, job.id) == before


def test_retry_needs_the_audio(database: Database, storage: LocalStorage) -> None:
    gone = failed(database, uploaded(database, storage))
    linked = failed(database)
    execute(database, "UPDATE jobs SET finished_at = now() - interval '2 days'")
    jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=3600)
    with pytest.raises(Expired):
        jobs.retry(database, gone.id)
    assert jobs.retry(database, linked.id).status is Status.QUEUED


def test_retry_after_the_result_expired_has_a_result_again(database: Database, storage: LocalStorage) -> None:
    job = failed(database)
    execute(database, "UPDATE jobs SET finished_at = now() - interval '2 days'")
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=3600) == 1
    jobs.retry(database, job.id)
    done = completed(database, job, "新。")
    assert jobs.readable(done, partial=False) == done
    execute(database, "UPDATE jobs SET finished_at = now() - interval '2 days'")
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=3600) == 1
    jobs.expire_audio(database, storage, NO_LIMIT, after_seconds=3600)


def test_a_link_without_its_query_is_not_retried(database: Database) -> None:
    links = [
        failed(database, submitted(database, url=url, audio_key=None))
        for url in ("https://h/a?", "https://h/a?secret=1", "https://h/a")
    ]
    assert jobs.retry(database, links[0].id).status is Status.QUEUED
    execute(database, "UPDATE jobs SET finished_at = now() - interval '2 days' WHERE status = 'failed'")
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=3600) == 2
    with pytest.raises(Expired):
        jobs.retry(database, links[1].id)
    assert "secret" not in one(database, "SELECT source_url FROM jobs WHERE id = :id", id=links[1].id)
    assert jobs.retry(database, links[2].id).source.url == "https://h/a"


def test_retries_at_once_make_one_run(database: Database) -> None:
    job = failed(database)

    def retry() -> bool:
        try:
            jobs.retry(database, job.id)
        except WrongState:
            return False
        return True

    assert sum(at_once([retry] * 4)) == 1
    assert jobs.get(database, job.id).run == 2
