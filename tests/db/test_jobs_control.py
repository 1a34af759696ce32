"""What a client does to a job: cancel, delete; and that the states are those that are written down."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial

import pytest
from sqlalchemy import text

from common import audio_keys, jobs
from common.db import Database
from common.errors import NotFound, StorageUnavailable, WrongState
from common.job_states import TRANSITIONS, Status
from common.jobs import Job
from common.settings import Settings
from common.storage import LocalStorage
from tests.db.job_cases import (
    MAKE,
    at_once,
    canceled,
    claimed,
    complete,
    completed,
    database_of,
    execute,
    fail,
    lose,
    one,
    part,
    poisoned,
    rows,
    s3_that_is_away,
    snapshot,
    submitted,
    uploaded,
)
from tests.waiting import until


@pytest.fixture
def own_database(settings: Settings) -> Iterator[Database]:
    """For a test that changes the tables."""
    database = database_of(settings)
    yield database
    database.close()


def test_cancel_of_a_queued_job_ends_it(database: Database) -> None:
    job = jobs.cancel(database, submitted(database).id)
    assert (job.status, job.cancel_requested) == (Status.CANCELED, True)
    assert job.finished_at is not None
    assert jobs.attempts(database, job.id) == []


def test_cancel_of_a_processing_job_asks_its_worker(database: Database) -> None:
    held = claimed(database)
    job = jobs.cancel(database, held.job.id)
    assert (job.status, job.cancel_requested, job.finished_at) == (Status.PROCESSING, True, None)
    jobs.stop_canceled(database, held, stage_ms={})
    job = jobs.get(database, job.id)
    assert job.status is Status.CANCELED
    assert job.finished_at is not None
    assert jobs.attempts(database, job.id)[0].outcome == "canceled"


@pytest.mark.parametrize("status", [Status.QUEUED, Status.PROCESSING, Status.CANCELED])
def test_cancel_twice_is_fine(database: Database, status: Status) -> None:
    job = MAKE[status](database)
    first = jobs.cancel(database, job.id)
    assert jobs.cancel(database, job.id) == first


@pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
def test_cancel_comes_too_late(database: Database, status: Status) -> None:
    job = MAKE[status](database)
    before = snapshot(database, job.id)
    with pytest.raises(WrongState, match=status):
        jobs.cancel(database, job.id)
    assert snapshot(database, job.id) == before


def test_job_that_completes_after_a_cancel_keeps_its_transcript(database: Database) -> None:
    held = claimed(database)
    jobs.cancel(database, held.job.id)
    complete(database, held)
    assert jobs.get(database, held.job.id).status is Status.COMPLETED


@pytest.mark.parametrize("ending", ["release", "try_again"])
def test_cancel_asked_for_before_a_job_goes_back_to_the_queue_is_kept(database: Database, ending: str) -> None:
    """The worker was not yet aware of it when it shut down: the job must not wait forever."""
    held = claimed(database)
    jobs.cancel(database, held.job.id)
    if ending == "release":
        jobs.release(database, held, stage_ms={})
    else:
        jobs.try_again(database, held, code="c", message="m", pause_seconds=0, stage_ms={})
    job = jobs.get(database, held.job.id)
    assert job.status is Status.CANCELED
    assert job.finished_at is not None


def test_cancel_finds_a_job_that_is_released_at_that_moment(database: Database) -> None:
    held = claimed(database)
    answers: list[object] = []

    def cancel() -> None:
        try:
            answers.append(jobs.cancel(database, held.job.id))
        except WrongState as error:
            answers.append(error)

    thread = threading.Thread(target=cancel)
    with database.transaction() as session:
        session.execute(text("SELECT 1 FROM jobs FOR UPDATE"))
        thread.start()
        until(lambda: one(database, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
        session.execute(
            text(
                "UPDATE jobs SET status = 'queued', stage = NULL, lease_token = NULL, lease_worker = NULL, "
                "lease_expires_at = NULL"
            )
        )
    thread.join(20)
    assert [type(answer) for answer in answers] == [Job]
    assert jobs.get(database, held.job.id).status is Status.CANCELED


def test_cancel_and_claim_at_once_agree(database: Database) -> None:
    for _ in range(10):
        job = submitted(database)
        calls: list[Callable[[], object]] = [
            partial(jobs.claim, database, job.id, worker="w", model=job.model, lease_seconds=60),
            partial(jobs.cancel, database, job.id),
        ]
        held, _ = at_once(calls)
        now = jobs.get(database, job.id)
        assert now.cancel_requested
        assert now.status is (Status.CANCELED if held is None else Status.PROCESSING)


@pytest.mark.parametrize("status", [Status.QUEUED, Status.COMPLETED, Status.FAILED, Status.CANCELED])
def test_delete_leaves_nothing(database: Database, storage: LocalStorage, status: Status) -> None:
    job = uploaded(database, storage)
    other = uploaded(database, storage)
    if status is Status.CANCELED:
        canceled(database, job)
    elif status is not Status.QUEUED:
        held = claimed(database, job)
        jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
        fail(database, held)
        if status is Status.COMPLETED:
            jobs.retry(database, job.id)
            completed(database, job)
    writer = storage.writer(f"{audio_keys.prefix(job.id)}copy-of-an-attempt")
    writer.write(b"x")
    writer.commit()
    jobs.delete_job(database, storage, job.id)
    assert [key for key, _ in storage.keys("audio/")] == [other.source.audio_key]
    assert snapshot(database, job.id) == [[], [], [], []]
    for call in (jobs.get, jobs.cancel, jobs.retry):
        with pytest.raises(NotFound):
            call(database, job.id)
    with pytest.raises(NotFound):
        jobs.delete_job(database, storage, job.id)


def test_delete_while_processing_is_refused(database: Database, storage: LocalStorage) -> None:
    held = claimed(database, uploaded(database, storage))
    before = snapshot(database, held.job.id)
    with pytest.raises(WrongState):
        jobs.delete_job(database, storage, held.job.id)
    assert snapshot(database, held.job.id) == before
    assert len(list(storage.keys("audio/"))) == 1


def test_delete_with_the_storage_away_leaves_an_orphan_not_half_a_job(
    database: Database, storage: LocalStorage
) -> None:
    job = uploaded(database, storage)
    with pytest.raises(StorageUnavailable):
        jobs.delete_job(database, s3_that_is_away(), job.id)
    with pytest.raises(NotFound):
        jobs.get(database, job.id)
    assert len(list(storage.keys("audio/"))) == 1


@pytest.mark.parametrize("call", [jobs.get, jobs.cancel, jobs.retry])
def test_unknown_job_is_not_found(database: Database, call: Callable[[Database, uuid.UUID], Job]) -> None:
    with pytest.raises(NotFound, match="tr_"):
        call(database, uuid.uuid4())


def test_transitions_are_those_that_are_written_down(own_database: Database, storage: LocalStorage) -> None:
    """Every call on a job in every state, with a trigger that notes each change of state."""
    database = own_database
    execute(
        database,
        "CREATE TABLE seen (before text, after text); "
        "GRANT INSERT ON seen TO PUBLIC; "
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO seen VALUES (OLD.status, NEW.status); RETURN NEW; END $$; "
        "CREATE TRIGGER note AFTER UPDATE ON jobs FOR EACH ROW WHEN (OLD.status <> NEW.status) "
        "EXECUTE FUNCTION note()",
    )

    for make in MAKE.values():
        for call in (
            jobs.cancel,
            jobs.retry,
            lambda d, i: jobs.claim(d, i, worker="w", model="demo-zh", lease_seconds=60),
            lambda d, i: jobs.delete_job(d, storage, i),
        ):
            job = make(database)
            try:
                call(database, job.id)
            except WrongState:
                continue
    jobs.stop_canceled(database, claimed(database), stage_ms={})
    jobs.release(database, claimed(database), stage_ms={})
    jobs.try_again(database, claimed(database), code="c", message="m", pause_seconds=0, stage_ms={})
    poisoned(database)
    held = claimed(database)
    jobs.cancel(database, held.job.id)
    lose(database, held)
    seen = {(Status(before), Status(after)) for before, after in rows(database, "SELECT before, after FROM seen")}
    assert seen == {(source, target) for source, targets in TRANSITIONS.items() for target in targets}


def test_a_lease_goes_with_processing_and_with_nothing_else(database: Database) -> None:
    submitted(database)
    with pytest.raises(Exception, match="jobs_lease_while_processing"):
        execute(database, "UPDATE jobs SET status = 'processing'")
    with pytest.raises(Exception, match="jobs_status_known"):
        execute(database, "UPDATE jobs SET status = 'paused'")
