"""The end of an attempt: completed, failed, released, restarted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common import jobs
from common.db import Database
from common.job_states import Status
from common.jobs import LeaseLost
from common.settings import Settings
from tests.db.job_cases import (
    MODEL,
    at_once,
    claimed,
    complete,
    database_of,
    execute,
    fail,
    one,
    part,
    rows,
    submitted,
)
from tests.db.test_jobs_work import claim, texts
from tests.waiting import until


@pytest.fixture
def own_database(settings: Settings) -> Iterator[Database]:
    """For a test that changes the tables."""
    database = database_of(settings)
    yield database
    database.close()


def test_complete_stores_everything_at_once(database: Database) -> None:
    held = claimed(database)
    complete(database, held, "你好。")
    job = jobs.get(database, held.job.id)
    assert (job.status, job.stage, job.progress, job.audio_ms) == (Status.COMPLETED, None, 1.0, 10_000)
    assert job.result is not None
    assert (job.result.model, job.result.revision, job.result.precision) == (MODEL, "r1", "fp32")
    assert job.finished_at is not None
    assert texts(database, job.id) == ["你好。"]
    [attempt] = jobs.attempts(database, job.id)
    assert (attempt.outcome, attempt.stage_ms) == ("completed", {"transcribing": 500})
    assert attempt.ended_at == job.finished_at
    with pytest.raises(LeaseLost):
        complete(database, held, "再来。")
    assert texts(database, job.id) == ["你好。"]


def test_a_completed_job_keeps_no_signature_of_its_link(database: Database) -> None:
    signed = "https://bucket.example/a.mp3?X-Amz-Signature=secret"
    done, waiting = submitted(database, url=signed), submitted(database, url=signed)
    complete(database, claimed(database, done))
    fail(database, claimed(database, waiting))
    assert jobs.get(database, done.id).source.url == "https://bucket.example/a.mp3"
    assert jobs.get(database, waiting.id).source.url == signed, "it may be retried"


def test_complete_is_all_or_nothing(own_database: Database) -> None:
    database = own_database
    held = claimed(database)
    execute(database, "ALTER TABLE sentences ADD CONSTRAINT broken CHECK (text <> '坏。')")
    with pytest.raises(Exception, match="broken"):
        complete(database, held, "好。", "坏。")
    assert jobs.get(database, held.job.id).status is Status.PROCESSING
    assert rows(database, "SELECT * FROM parts") == []
    assert jobs.attempts(database, held.job.id)[0].outcome is None
    complete(database, held, "好。")


def test_two_completions_at_once_store_one(database: Database) -> None:
    held = claimed(database)

    def attempt() -> bool:
        try:
            complete(database, held)
        except LeaseLost:
            return False
        return True

    assert sorted(at_once([attempt] * 4)) == [False, False, False, True]


def test_failure_is_on_the_job(database: Database) -> None:
    held = claimed(database)
    fail(database, held)
    job = jobs.get(database, held.job.id)
    assert job.status is Status.FAILED
    assert job.failure == jobs.JobFailure("audio_empty", "no samples", False)
    assert job.finished_at is not None
    [attempt] = jobs.attempts(database, job.id)
    assert (attempt.outcome, attempt.error_code) == ("failed", "audio_empty")


def test_next_try_waits_for_its_pause(database: Database) -> None:
    held = claimed(database)
    jobs.try_again(database, held, code="source_unreachable", message="503", pause_seconds=60, stage_ms={})
    job = jobs.get(database, held.job.id)
    assert (job.status, job.failure) == (Status.QUEUED, None)
    assert claim(database, job.id) is None
    waits = one(database, "SELECT extract(epoch FROM not_before - now()) FROM jobs")
    assert 50 < waits <= 60
    execute(database, "UPDATE jobs SET not_before = now()")
    again = claim(database, job.id)
    assert again is not None
    assert (again.attempt, again.failures) == (2, 1)
    assert jobs.attempts(database, job.id)[0].error_code == "source_unreachable"


def test_short_pause_ends_by_itself(database: Database) -> None:
    held = claimed(database)
    jobs.try_again(database, held, code="c", message="m", pause_seconds=0.3, stage_ms={})
    due = one(database, "SELECT not_before FROM jobs")
    until(lambda: claim(database, held.job.id))
    first, second = jobs.attempts(database, held.job.id)
    assert first.ended_at is not None
    assert first.ended_at < due <= second.started_at


def test_release_is_no_failure(database: Database) -> None:
    held = claimed(database)
    jobs.release(database, held, stage_ms={})
    again = claim(database, held.job.id)
    assert again is not None
    assert (again.attempt, again.failures) == (2, 0)
    assert one(database, "SELECT crashes FROM jobs") == 0


def test_restart_drops_the_parts_of_this_run_only(database: Database) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "旧。"), first_sentence=0)
    fail(database, held)
    jobs.retry(database, held.job.id)
    again = claimed(database, held.job)
    jobs.commit_part(database, again, part(0, "新。"), first_sentence=0)
    jobs.restart(database, again)
    assert texts(database, held.job.id) == []
    assert rows(database, "SELECT run, text FROM sentences") == [(1, "旧。")]
    assert rows(database, "SELECT run FROM parts") == [(1,)]
    assert jobs.get(database, held.job.id).processed_ms == 0
    jobs.commit_part(database, again, part(0, "更新。"), first_sentence=0)
    assert texts(database, held.job.id) == ["更新。"]


def test_outages_and_failures_are_counted_apart_and_a_part_resets_both(database: Database) -> None:
    job = submitted(database)
    for outage in (True, True, False):
        held = claimed(database, job)
        jobs.try_again(database, held, code="unavailable", message="", pause_seconds=0, stage_ms={}, outage=outage)
    held = claimed(database, job)
    assert (held.failures, held.outages) == (1, 2)
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    jobs.release(database, held, stage_ms={})
    held = claimed(database, job)
    assert (held.failures, held.outages) == (0, 0)
