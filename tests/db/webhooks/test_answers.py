"""What a receiver answers, and what becomes of the delivery and the endpoint."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from common import webhooks
from common.db import Database
from common.errors import WrongState
from common.webhooks import DeliveryStatus, EndpointChange
from tests.db.job_cases import execute
from tests.db.webhook_cases import (
    Answer,
    Receiver,
    after,
    deliver,
    drip,
    job_with_webhook,
    make_due,
    only,
    registered,
    reset,
    status,
)


@pytest.mark.parametrize(
    ("answer", "last_status", "error"),
    [
        (status(500, b"out of order"), 500, "http_status"),
        (status(404), 404, "http_status"),
        (reset, None, "connection: RemoteProtocolError|connection: ReadError"),
        (drip, None, "timeout"),
    ],
    ids=["500", "404", "reset", "drip"],
)
def test_a_failure_is_tried_again_later_with_the_same_id(
    database: Database, receiver: Receiver, answer: Answer, last_status: int | None, error: str
) -> None:
    url = receiver.url("hook", answer)
    _, secret = registered(database, url)
    job_with_webhook(database)
    failed = only(deliver(database))
    assert (failed.status, failed.attempts, failed.last_status) == (DeliveryStatus.PENDING, 1, last_status)
    assert failed.error in error.split("|")
    assert failed.last_attempt_at is not None
    assert 3 < (failed.next_attempt_at - failed.last_attempt_at).total_seconds() < 9
    receiver.url("hook", status(200))
    make_due(database)
    sent = only(deliver(database))
    assert (sent.status, sent.attempts, sent.error) == (DeliveryStatus.DELIVERED, 2, None)
    first, second = receiver.messages
    assert first.id == second.id == sent.public_id
    assert first.body == second.body
    assert first.verified(secret) == second.verified(secret)


def test_a_redirect_is_a_failure_and_is_not_followed(database: Database, receiver: Receiver) -> None:
    elsewhere = receiver.url("elsewhere", status(200))
    registered(database, receiver.url("hook", status(307, Location=elsewhere)))
    job_with_webhook(database)
    failed = only(deliver(database))
    assert (failed.status, failed.last_status, failed.error) == (DeliveryStatus.PENDING, 307, "redirect")
    assert receiver.to("elsewhere") == []


def test_a_slow_answer_within_the_time_is_a_success(database: Database, receiver: Receiver) -> None:
    registered(database, receiver.url("hook", after(0.6, status(201))))
    job_with_webhook(database)
    assert only(deliver(database, timeout_seconds=10.0)).status is DeliveryStatus.DELIVERED


def test_only_the_first_bytes_of_an_answer_are_kept(database: Database, receiver: Receiver) -> None:
    registered(database, receiver.url("hook", status(500, b"a\x00\xff" + b"x" * 5_000_000)))
    job_with_webhook(database)
    answer = only(deliver(database)).answer
    assert answer is not None
    assert answer.startswith("a\ufffd\ufffdx")
    assert len(answer) == 1024


def test_retry_after_is_honoured_within_bounds(database: Database, receiver: Receiver) -> None:
    registered(database, receiver.url("soon", status(503, Retry_After="120")))
    registered(database, receiver.url("never", status(429, Retry_After="999999999")))
    later = datetime.now(UTC) + timedelta(hours=1)
    date = later.strftime("%a, %d %b %Y %H:%M:%S GMT")
    registered(database, receiver.url("date", status(503, Retry_After=date)))
    job_with_webhook(database)
    began = datetime.now(UTC)
    soon, dated, never = sorted(item.next_attempt_at for item in deliver(database))
    took = datetime.now(UTC) - began
    for moment, least in (
        (soon, began + timedelta(seconds=120)),
        (dated, later.replace(microsecond=0)),
        (never, began + timedelta(hours=8)),
    ):
        assert least <= moment <= least + took


def test_gone_disables_the_endpoint(database: Database, receiver: Receiver) -> None:
    gone, _ = registered(database, receiver.url("gone", status(410)))
    kept, _ = registered(database, receiver.url("kept", status(200)))
    job_with_webhook(database)
    deliver(database)
    job_with_webhook(database)
    by_endpoint = {item.endpoint_id: item for item in deliver(database)}
    assert by_endpoint[gone.id].status is DeliveryStatus.DEAD
    assert by_endpoint[gone.id].last_status == 410
    assert (len(receiver.to("gone")), len(receiver.to("kept"))) == (1, 2)
    after_that = webhooks.get_endpoint(database, gone.id)
    assert not after_that.enabled
    assert "410" in (after_that.disabled_reason or "")
    assert webhooks.get_endpoint(database, kept.id).enabled
    with pytest.raises(WrongState):
        webhooks.replay(database, by_endpoint[gone.id].id)
    assert webhooks.update_endpoint(database, gone.id, EndpointChange(enabled=True)).disabled_reason is None


def test_gone_gives_up_what_else_waits_for_it(database: Database, receiver: Receiver) -> None:
    gone, _ = registered(database, receiver.url("gone", status(500)))
    job_with_webhook(database)
    deliver(database)  # waits for its second try
    receiver.url("gone", status(410))
    job_with_webhook(database)
    assert [(item.status.value, item.error) for item in deliver(database)] == [
        ("dead", "endpoint_disabled"),
        ("dead", "http_status"),
    ]
    assert not webhooks.get_endpoint(database, gone.id).enabled


def test_gone_from_a_jobs_own_url_ends_that_delivery_only(database: Database, receiver: Receiver) -> None:
    job_with_webhook(database, receiver.url("own", status(410)))
    assert only(deliver(database)).status is DeliveryStatus.DEAD


def test_an_endpoint_disabled_while_a_job_ended_gets_nothing(database: Database, receiver: Receiver) -> None:
    endpoint, _ = registered(database, receiver.url("hook", status(200)))
    job_with_webhook(database)
    execute(database, "UPDATE webhook_endpoints SET enabled = false WHERE id = :id", id=endpoint.id)
    assert only(deliver(database)).error == "endpoint_disabled"
    assert receiver.messages == []
