"""The outbox: a delivery is written in the transaction that ends the job, or neither is."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from common import jobs, webhooks
from common.db import Database
from common.errors import Expired
from common.job_states import Status
from common.jobs import LeaseLost
from common.storage import LocalStorage
from tests.db import job_cases
from tests.db.job_cases import NO_LIMIT, claimed, completed, execute, one, part, rows, submitted
from tests.db.webhook_cases import (
    ALL_EVENTS,
    TERMINAL_EVENTS,
    log_of,
    registered,
)

URL = "https://hooks.example.com/in?token=abc"


def end_completed(database: Database) -> None:
    completed(database, submitted(database, webhook_url=URL))


def end_failed(database: Database) -> None:
    job_cases.failed(database, submitted(database, webhook_url=URL))


def end_canceled_in_the_queue(database: Database) -> None:
    job_cases.canceled(database, submitted(database, webhook_url=URL))


def end_canceled_by_the_worker(database: Database) -> None:
    held = claimed(database, submitted(database, webhook_url=URL))
    jobs.cancel(database, held.job.id)
    jobs.stop_canceled(database, held, stage_ms={})


def end_canceled_while_released(database: Database) -> None:
    held = claimed(database, submitted(database, webhook_url=URL))
    jobs.cancel(database, held.job.id)
    jobs.release(database, held, stage_ms={})


def end_canceled_by_the_sweep(database: Database) -> None:
    held = claimed(database, submitted(database, webhook_url=URL))
    jobs.cancel(database, held.job.id)
    job_cases.expire_lease(database, held.job.id)
    jobs.rescue_expired(database)


def end_failed_by_the_sweep(database: Database) -> None:
    job_cases.poisoned(database, submitted(database, webhook_url=URL))


@pytest.mark.parametrize(
    ("end", "event"),
    [
        (end_completed, "transcription.completed"),
        (end_failed, "transcription.failed"),
        (end_failed_by_the_sweep, "transcription.failed"),
        (end_canceled_in_the_queue, "transcription.canceled"),
        (end_canceled_by_the_worker, "transcription.canceled"),
        (end_canceled_while_released, "transcription.canceled"),
        (end_canceled_by_the_sweep, "transcription.canceled"),
    ],
)
def test_every_way_to_end_is_told_once_to_each(database: Database, end: Callable[[Database], None], event: str) -> None:
    wanting, _ = registered(database, "https://one.example.com", (event,))
    registered(database, "https://two.example.com", tuple({*TERMINAL_EVENTS} - {event}))
    disabled, _ = registered(database, "https://three.example.com")
    webhooks.update_endpoint(database, disabled.id, webhooks.EndpointChange(enabled=False))
    end(database)
    deliveries = log_of(database)
    assert [item.event for item in deliveries] == [event, event]
    assert {(item.endpoint_id, item.url) for item in deliveries} == {(wanting.id, None), (None, URL)}
    job_id, status = rows(database, "SELECT id, status FROM jobs")[0]
    for (payload,) in rows(database, "SELECT payload FROM deliveries"):
        assert payload["status"] == status == event.partition(".")[2]
        assert payload["id"] == f"tr_{job_id.hex}"


def test_what_does_not_end_the_job_is_not_told(database: Database) -> None:
    registered(database, "https://one.example.com", ALL_EVENTS)
    held = claimed(database, submitted(database, webhook_url=URL))
    jobs.cancel(database, held.job.id)  # asked for, not done
    execute(database, "UPDATE jobs SET cancel_requested = false")
    jobs.try_again(database, held, code="x", message="", pause_seconds=0, stage_ms={})
    jobs.release(database, claimed(database, held.job), stage_ms={})
    job_cases.expire_lease(database, claimed(database, held.job).job.id)
    jobs.rescue_expired(database)
    assert log_of(database) == []


def test_progress_is_told_to_those_who_asked(database: Database) -> None:
    subscribed, _ = registered(database, "https://one.example.com", ("transcription.progress",))
    registered(database, "https://two.example.com")
    held = claimed(database, submitted(database, webhook_url=URL))
    other = claimed(database, submitted(database, webhook_url=URL, webhook_events=("transcription.progress",)))
    for claim in (held, other):
        jobs.commit_part(database, claim, part(0, "你好。"), first_sentence=0)
    deliveries = log_of(database)
    assert {(item.endpoint_id, item.job_id) for item in deliveries} == {
        (subscribed.id, held.job.id),
        (subscribed.id, other.job.id),
        (None, other.job.id),
    }
    assert one(database, "SELECT DISTINCT payload->>'processed_ms' FROM deliveries") == "10000"


def test_no_delivery_means_no_end(database: Database) -> None:
    """The outbox fails: the job has not ended either, and its worker can try again."""
    held = claimed(database, submitted(database, webhook_url=URL))
    before = job_cases.snapshot(database, held.job.id)
    execute(database, "ALTER TABLE deliveries ADD CONSTRAINT broken CHECK (event = 'nothing')")
    try:
        with pytest.raises(DBAPIError):
            job_cases.complete(database, held)
        assert job_cases.snapshot(database, held.job.id) == before
        with pytest.raises(DBAPIError):
            jobs.cancel(database, submitted(database, webhook_url=URL).id)
        assert rows(database, "SELECT DISTINCT status FROM jobs ORDER BY 1") == [("processing",), ("queued",)]
    finally:
        execute(database, "ALTER TABLE deliveries DROP CONSTRAINT broken")
    job_cases.complete(database, held)
    assert [item.event for item in log_of(database)] == ["transcription.completed"]


def test_no_end_means_no_delivery(database: Database) -> None:
    """A worker that lost its lease writes no events."""
    held = claimed(database, submitted(database, webhook_url=URL, webhook_events=ALL_EVENTS))
    job_cases.expire_lease(database, held.job.id)
    jobs.rescue_expired(database)
    calls: list[Callable[[], object]] = [
        lambda: job_cases.complete(database, held),
        lambda: job_cases.fail(database, held),
        lambda: jobs.commit_part(database, held, part(0, "你好。"), first_sentence=0),
    ]
    for call in calls:
        with pytest.raises(LeaseLost):
            call()
    assert log_of(database) == []


def test_an_endpoint_that_is_being_deleted_holds_no_job_up(database: Database) -> None:
    endpoint, _ = registered(database, "https://one.example.com")
    held = claimed(database)
    with database.transaction() as session:
        session.execute(text("DELETE FROM webhook_endpoints WHERE id = :id"), {"id": endpoint.id})
        ending = threading.Thread(target=job_cases.complete, args=(database, held))
        ending.start()
        ending.join(0.3)
        assert ending.is_alive(), "it waits for the deletion"
    ending.join(120)
    assert jobs.get(database, held.job.id).status is Status.COMPLETED
    assert log_of(database) == []


def test_a_retry_is_told_again(database: Database) -> None:
    job = job_cases.failed(database, submitted(database, webhook_url=URL))
    jobs.retry(database, job.id)
    completed(database, jobs.get(database, job.id))
    deliveries = log_of(database)
    assert [item.event for item in deliveries] == ["transcription.failed", "transcription.completed"]
    assert [run for (run,) in rows(database, "SELECT payload->'run' FROM deliveries ORDER BY id")] == [1, 2]


def test_the_message_is_thin(database: Database) -> None:
    tags = tuple(chr(0x1F600 + i) * 64 for i in range(20))
    completed(database, submitted(database, webhook_url=URL, tags=tags), "预算会议的内容。")
    payload: dict[str, Any] = one(database, "SELECT payload FROM deliveries")
    assert payload["tags"] == list(tags)
    encoded = json.dumps(payload, ensure_ascii=False).encode()
    assert len(encoded) < 10_000
    assert "预算" not in encoded.decode()


def test_deleting_a_job_wipes_what_its_deliveries_say(database: Database, tmp_path: Path) -> None:
    registered(database, "https://one.example.com")
    job = completed(database, submitted(database, webhook_url=URL, tags=("secret-tag",)))
    sent = log_of(database)[0]
    execute(database, "UPDATE deliveries SET status = 'delivered', answer = 'got it' WHERE id = :id", id=sent.id)
    jobs.delete_job(database, LocalStorage(tmp_path), job.id)
    left = log_of(database)
    assert sorted((item.status.value, item.error or "") for item in left) == [
        ("dead", "job_deleted"),
        ("delivered", ""),
    ]
    stored = json.dumps([row for (row,) in rows(database, "SELECT to_jsonb(d) FROM deliveries d")], default=str)
    for trace in (job.id.hex, str(job.id), "secret-tag", "hooks.example.com", "got it"):
        assert trace not in stored
    with pytest.raises(Expired):
        webhooks.replay(database, sent.id)


def test_the_log_expires_but_not_what_waits(database: Database) -> None:
    for state in ("pending", "delivered", "dead"):
        end_completed(database)
        execute(
            database,
            "UPDATE deliveries SET status = :state, created_at = now() - interval '31 days' "
            "WHERE created_at > now() - interval '1 day'",
            state=state,
        )
    end_failed(database)
    execute(database, "UPDATE deliveries SET status = 'delivered' WHERE event = 'transcription.failed'")
    assert webhooks.expire_deliveries(database, NO_LIMIT, after_seconds=30 * 24 * 3600) == 2
    assert {(item.event, item.status.value) for item in log_of(database)} == {
        ("transcription.completed", "pending"),
        ("transcription.failed", "delivered"),
    }
