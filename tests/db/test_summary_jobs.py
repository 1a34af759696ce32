"""Summaries and their jobs: waiting for the transcript, older than its corrections, deleted with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from common import jobs, summaries
from common.db import Database
from common.errors import Expired, NotFound, NoTranscript
from common.job_states import Status
from common.jobs import Dispatcher
from common.storage import LocalStorage
from common.summaries import Spent, SummaryStopped
from tests.chat_server import MODEL, ChatServer, writes
from tests.db.job_cases import (
    NO_LIMIT,
    canceled,
    claimed,
    complete,
    execute,
    fail,
    failed,
    one,
    submission,
    submitted,
)
from tests.db.summary_cases import (
    LONG,
    MINUTES,
    SMALL,
    chat,
    counted,
    made,
    requested,
    summarizing,
    two_speakers,
)
from tests.waiting import until

__all__ = ["chat"]  # a fixture


def test_one_that_was_submitted_with_a_job_waits_for_the_transcript(database: Database, chat: ChatServer) -> None:
    job = jobs.submit(database, submission(summary=MINUTES))
    assert summaries.get(database, job.id).status is Status.QUEUED
    assert summaries.claim_next(database) is None
    complete(database, claimed(database, job))
    assert made(database, chat.endpoint(), job).status is Status.COMPLETED


def test_it_ends_with_a_job_that_fails_and_waits_again_for_a_retry(database: Database) -> None:
    lost, stopped = (jobs.submit(database, submission(summary=MINUTES)) for _ in range(2))
    fail(database, claimed(database, lost))
    canceled(database, stopped)
    for job in (lost, stopped):
        assert summaries.get(database, job.id).status is Status.CANCELED
        jobs.retry(database, job.id)
        assert summaries.get(database, job.id).status is Status.QUEUED
    complete(database, claimed(database, lost))
    held = summaries.claim_next(database)
    assert held is not None
    assert held.job_id == lost.id


def test_one_that_people_canceled_does_not_come_back_with_a_retry(database: Database) -> None:
    job = jobs.submit(database, submission(summary=MINUTES))
    summaries.remove(database, job.id)
    fail(database, claimed(database, job))
    jobs.retry(database, job.id)
    assert summaries.get(database, job.id).status is Status.CANCELED
    complete(database, claimed(database, job))
    assert summaries.claim_next(database) is None


def test_light_workers_are_woken_when_the_transcript_is_there(database: Database) -> None:
    woken: list[str] = []
    dispatcher = Dispatcher(
        database, lambda *_: None, redispatch_seconds=60, wake_summarizers=lambda: woken.append("summarize")
    )
    dispatcher.start()
    try:
        job = jobs.submit(database, submission(summary=MINUTES))
        held = claimed(database, job)
        assert not summaries.any_new(database)
        complete(database, held)
        dispatcher.wake_for_light_work()
        until(lambda: woken)
    finally:
        dispatcher.stop()
    execute(database, "UPDATE summaries SET due_at = now() - interval '1 minute'")
    assert not summaries.any_new(database), "the sweep has found it"


def test_a_request_before_the_end_waits_and_one_without_a_transcript_is_refused(database: Database) -> None:
    job = submitted(database)
    summaries.request(database, job.id, MINUTES, tenant="default")
    assert summaries.claim_next(database) is None
    complete(database, claimed(database, job))
    assert summaries.claim_next(database) is not None
    with pytest.raises(NoTranscript):
        summaries.request(database, failed(database).id, MINUTES, tenant="default")
    with pytest.raises(NotFound):
        summaries.request(database, job.id, MINUTES, tenant="other")


def test_a_changed_transcript_makes_it_stale(database: Database, chat: ChatServer) -> None:
    job = requested(database, "第一句。", "第二句。")
    assert not made(database, chat.endpoint(), job).stale
    jobs.correct_all(database, job, [jobs.Correction(0, None, confirmed=(0,), keeps_text=True)])
    assert not summaries.get(database, job.id).stale, "the text is the same"
    jobs.correct(database, job, 0, "第一句话。")
    assert summaries.get(database, job.id).stale
    summaries.request(database, job.id, MINUTES, tenant="default")
    assert not made(database, chat.endpoint(), job).stale


def test_words_that_another_speaker_is_shown_to_say_make_it_stale(database: Database, chat: ChatServer) -> None:
    job = two_speakers(database, "我来写纪要。", "好。", "谢谢大家。")
    summaries.request(database, job.id, MINUTES, tenant="default")
    made(database, chat.endpoint(), job)
    jobs.merge(database, job, 1)
    assert not summaries.get(database, job.id).stale, "both are of the same speaker"
    jobs.merge(database, job, 0)
    assert summaries.get(database, job.id).stale


def test_a_correction_while_it_is_made_counts_as_later(database: Database, chat: ChatServer) -> None:
    job = requested(database, *LONG)
    chat.answers = [writes("one"), chat.hang]
    with summarizing(database, chat.endpoint(**SMALL)):
        until(lambda: len(chat.asked) == 2)
        jobs.correct(database, job, 0, "另一句。")
    assert made(database, chat.endpoint(**SMALL), job).stale


def test_it_goes_with_the_transcript_and_its_tokens_stay(database: Database, chat: ChatServer) -> None:
    requested(database, *LONG)
    chat.answers = [writes("one"), chat.hang]
    with summarizing(database, chat.endpoint(**SMALL)):
        until(lambda: len(chat.asked) == 2)
    assert one(database, "SELECT count(*) FROM summary_sections") == 1
    job = jobs.get(database, one(database, "SELECT job_id FROM summaries"))
    execute(database, "UPDATE jobs SET finished_at = now() - interval '2 days'")
    assert jobs.expire_results(database, NO_LIMIT, after_seconds=86_400) == 1
    for table in ("summaries", "summary_sections"):
        assert one(database, f"SELECT count(*) FROM {table}") == 0
    with pytest.raises(Expired):
        summaries.request(database, job.id, MINUTES, tenant="default")
    assert len(counted(database)) == 1
    assert summaries.expire_usage(database, NO_LIMIT, after_seconds=3600) == 0
    execute(database, "UPDATE summary_usage SET began_at = now() - interval '2 hours'")
    assert summaries.expire_usage(database, NO_LIMIT, after_seconds=3600) == 1


def test_a_job_that_is_deleted_during_a_call_ends_it(
    database: Database, storage: LocalStorage, chat: ChatServer
) -> None:
    job = requested(database)
    chat.answers = [chat.hang]
    with summarizing(database, chat.endpoint(timeout_seconds=600)), capture_logs() as logs:
        until(lambda: chat.asked)
        jobs.delete_job(database, storage, job.id)
        until(lambda: [entry for entry in logs if entry["event"] == "summary_stopped"])
    for table in ("summaries", "summary_sections"):
        assert one(database, f"SELECT count(*) FROM {table}") == 0


def test_a_job_that_is_deleted_while_its_summary_ends_stops_neither(database: Database) -> None:
    job = requested(database, webhook_url="https://example.com/hook", webhook_events=("transcription.summarized",))
    held = summaries.claim_next(database)
    assert held is not None
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as session:
            session.execute(text("SELECT 1 FROM jobs WHERE id = :id FOR UPDATE"), {"id": job.id})
            ending = pool.submit(summaries.complete, database, held, "late", truncated=False, spent=Spent(MODEL))
            until(lambda: one(database, waits) == 1)
            session.execute(text("DELETE FROM jobs WHERE id = :id"), {"id": job.id})
        with pytest.raises(SummaryStopped):
            ending.result(60)


def test_without_text_there_is_nothing_to_summarise(database: Database, chat: ChatServer) -> None:
    job = requested(database)
    execute(database, "DELETE FROM sentences WHERE job_id = :id", id=job.id)
    execute(database, "UPDATE jobs SET no_speech = true WHERE id = :id", id=job.id)
    summary = made(database, chat.endpoint(), job)
    assert summary.failure is not None
    assert summary.failure.code == "summary_empty"
    assert chat.asked == []
