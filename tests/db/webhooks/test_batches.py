"""The event of a batch's end is written once, in the transaction that ends its last job."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.exc import DBAPIError

from common import ids, jobs, webhooks
from common.db import Database
from common.errors import InvalidRequest, QuotaExceeded
from common.job_states import Status
from common.jobs import Allowance, BatchSubmission, Job, Quota, Refused
from common.jobs.lifecycle.finalize import ended
from common.models import DEFAULT_TENANT, JobRow
from common.storage import LocalStorage
from tests.db import job_cases
from tests.db.job_cases import claimed, completed, execute, failed, one, rows, submission
from tests.db.webhook_cases import (
    OWN_SECRET,
    SEAL,
    Receiver,
    deliver,
    log_of,
    registered,
    status,
    without_webhooks,
)
from tests.servers import HttpServer

EVENT = "batch.completed"
URL = "https://hooks.example.com/in"
RACES = 15


@pytest.fixture
def database(pool: Database) -> Database:
    execute(pool, "DELETE FROM jobs; DELETE FROM batches")
    return without_webhooks(pool)


def batch(database: Database, good: int = 2, bad: int = 0, **changes: Any) -> list[Job]:
    """The jobs of a new batch."""
    batch_id = ids.new_id()
    items = {n: submission(batch_id=batch_id, batch_number=n, **changes) for n in range(good)}
    refused = tuple(Refused(good + n, "invalid_request", "has no host") for n in range(bad))
    with database.transaction() as session:
        jobs.submit_batch(session, BatchSubmission(batch_id, items, refused))
    members = jobs.get_batch(database, batch_id, tenant=changes.get("tenant", DEFAULT_TENANT))[1]
    return [members[n] for n in range(good)]


def payloads(database: Database) -> list[dict[str, Any]]:
    """What the news of batches say, oldest first."""
    payloads = rows(database, f"SELECT payload FROM deliveries WHERE event = '{EVENT}' ORDER BY created_at, id")
    return [payload for (payload,) in payloads]


def cancel(database: Database, _storage: LocalStorage, job: Job) -> None:
    jobs.cancel(database, job.id)


def cancel_while_it_runs(database: Database, _storage: LocalStorage, job: Job) -> None:
    held = claimed(database, job)
    jobs.cancel(database, job.id)
    job_cases.lose(database, held)  # its worker died as well: the sweep ends it


def delete(database: Database, storage: LocalStorage, job: Job) -> None:
    jobs.delete_job(database, storage, job.id)


def complete(database: Database, _storage: LocalStorage, job: Job) -> None:
    completed(database, job)


def fail(database: Database, _storage: LocalStorage, job: Job) -> None:
    failed(database, job)


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (complete, "completed"),
        (fail, "failed"),
        (cancel, "canceled"),
        (cancel_while_it_runs, "canceled"),
        (delete, "deleted"),
    ],
)
def test_however_its_last_job_ends_the_batch_is_told_of_once(
    database: Database, tmp_path: Path, end: Callable[..., None], state: str
) -> None:
    storage = LocalStorage(tmp_path)
    registered(database, "https://one.example.com", (EVENT,))
    first, second, last = batch(database, good=3, bad=2)
    failed(database, first)
    completed(database, second)
    assert payloads(database) == []
    end(database, storage, last)
    counts = {"queued": 0, "processing": 0, "completed": 1, "failed": 1, "canceled": 0, "deleted": 0, "refused": 2}
    counts[state] += 1
    batch_id = f"batch_{(first.batch_id or uuid.UUID(int=0)).hex}"
    links = {"self": f"/v1/batches/{batch_id}", "transcriptions": f"/v1/transcriptions?batch={batch_id}"}
    assert payloads(database) == [{"id": batch_id, "status": "completed", "total": 5, "counts": counts, "links": links}]
    for job in (first, second):
        jobs.delete_job(database, storage, job.id)
    assert len(payloads(database)) == 1, "what is deleted later is no news"


def test_a_job_that_is_to_be_tried_again_keeps_its_batch_open(database: Database) -> None:
    registered(database, "https://one.example.com")
    [job] = batch(database, good=1)
    held = claimed(database, job)
    jobs.try_again(database, held, code="x", message="", pause_seconds=0, stage_ms={})
    assert log_of(database) == []
    completed(database, job)
    assert [item.event for item in log_of(database)] == ["transcription.completed", EVENT]


def test_two_last_jobs_that_end_at_the_same_moment_are_told_of_once(database: Database) -> None:
    """The first transaction has ended its job and not committed: neither sees the other's end."""
    registered(database, "https://one.example.com", (EVENT,))
    first, second = batch(database)
    held = claimed(database, second)
    with database.transaction() as session:
        session.execute(update(JobRow).where(JobRow.id == first.id).values(status=Status.CANCELED))
        ended(session, [first.id])
        other = threading.Thread(target=job_cases.complete, args=(database, held))
        other.start()
        other.join(0.5)
        assert other.is_alive(), "it waits for the first one"
    other.join(30)
    [news] = payloads(database)
    assert (news["counts"]["completed"], news["counts"]["canceled"]) == (1, 1)


def test_workers_that_race_for_the_end_tell_it_once_each_time(database: Database) -> None:
    registered(database, "https://one.example.com", (EVENT,))
    for number in range(RACES):
        held = [claimed(database, job) for job in batch(database, good=4)]
        start = threading.Barrier(len(held))

        def end(claim: Any, start: threading.Barrier = start) -> None:
            start.wait(30)
            job_cases.complete(database, claim)

        workers = [threading.Thread(target=end, args=(claim,)) for claim in held]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(30)
        assert [news["counts"]["completed"] for news in payloads(database)] == [4] * (number + 1)


def test_no_news_means_no_end(database: Database) -> None:
    registered(database, "https://one.example.com", (EVENT,))
    [job] = batch(database, good=1)
    held = claimed(database, job)
    execute(database, f"ALTER TABLE deliveries ADD CONSTRAINT broken CHECK (event <> '{EVENT}')")
    try:
        with pytest.raises(DBAPIError):
            job_cases.complete(database, held)
        assert jobs.get(database, job.id).status is Status.PROCESSING
    finally:
        execute(database, "ALTER TABLE deliveries DROP CONSTRAINT broken")
    job_cases.complete(database, held)
    assert len(payloads(database)) == 1


def test_a_batch_that_goes_on_after_a_retry_ends_again(database: Database) -> None:
    registered(database, "https://one.example.com", (EVENT,))
    first, second = batch(database)
    failed(database, first)
    completed(database, second)
    jobs.retry(database, first.id)
    completed(database, jobs.get(database, first.id))
    assert [news["counts"]["completed"] for news in payloads(database)] == [1, 2]


def test_who_is_told(database: Database) -> None:
    wanting, _ = registered(database, "https://one.example.com")
    registered(database, "https://two.example.com", ("transcription.completed",))
    execute(database, "INSERT INTO tenants (name) VALUES ('other') ON CONFLICT DO NOTHING")
    webhooks.create_endpoint(
        database, SEAL, webhooks.NewEndpoint("https://three.example.com", (EVENT,), tenant="other")
    )
    for events in (None, (EVENT,), ("transcription.completed",)):
        [job] = batch(database, good=1, webhook_url=URL, webhook_events=events)
        completed(database, job)
    deliveries = [(item.endpoint_id, item.url) for item in log_of(database) if item.event == EVENT]
    assert sorted(deliveries, key=str) == sorted([(wanting.id, None)] * 3 + [(None, URL)] * 2, key=str)


def test_the_message_that_goes_out(database: Database, http_server: HttpServer) -> None:
    receiver = Receiver(http_server)
    [job] = batch(database, good=1, webhook_url=receiver.url("batch", status(200)), webhook_events=(EVENT,))
    completed(database, job)
    [delivery] = deliver(database)
    [message] = receiver.to("batch")
    assert message.verified(OWN_SECRET)["type"] == EVENT
    assert message.data["links"]["self"].startswith("https://asr.example.com/v1/batches/batch_")
    assert (delivery.job_id, delivery.batch_id) == (None, job.batch_id)
    assert message.id == delivery.public_id


def quota(database: Database, limit: int, waiting: int) -> Callable[[int], list[Job]]:
    """Submits a batch of that many links with a key that has `waiting` queued jobs and a limit of `limit`."""
    key_id = ids.new_id()
    values: dict[str, Any] = {"key_id": key_id, "quota": Quota(key=Allowance(max_queued=limit))}
    for _ in range(waiting):
        jobs.submit(database, submission(**values))
    return lambda number: batch(database, good=number, **values)


def test_a_batch_that_has_no_room_is_refused_as_a_whole(database: Database) -> None:
    submit = quota(database, limit=10, waiting=4)
    with pytest.raises(QuotaExceeded, match="no room for 7 more"):
        submit(7)
    assert (one(database, "SELECT count(*) FROM jobs"), one(database, "SELECT count(*) FROM batches")) == (4, 0)
    assert len(submit(6)) == 6
    with pytest.raises(InvalidRequest, match="exceed"):
        submit(11)


def test_batches_at_the_same_time_do_not_pass_the_limit_together(database: Database) -> None:
    submit = quota(database, limit=450, waiting=0)
    outcomes: list[bool] = []

    def attempt() -> None:
        try:
            submit(100)
        except QuotaExceeded:
            outcomes.append(False)
        else:
            outcomes.append(True)

    clients = [threading.Thread(target=attempt) for _ in range(8)]
    for client in clients:
        client.start()
    for client in clients:
        client.join(60)
    assert sorted(outcomes) == [False] * 4 + [True] * 4
    assert one(database, "SELECT count(*) FROM jobs") == 400


def test_the_quota_of_a_batch_is_asked_about_once(database: Database) -> None:
    """And not with two counts for each of a hundred links."""
    statements: list[str] = []
    submit = quota(database, limit=10_000, waiting=0)

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "count(" in statement and "jobs" in statement and "key_id" in statement:
            statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        submit(50)
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    assert 1 <= len(statements) <= 2
