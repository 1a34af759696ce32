"""Deliveries, sent for real to a receiver on loopback that behaves and misbehaves."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler

import psycopg
import pytest
from cryptography.fernet import Fernet
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from standardwebhooks import WebhookVerificationError

from common import webhooks
from common.db import Database
from common.errors import WrongState
from common.jobs import Job
from common.secret_box import SecretBox
from common.webhooks import Delivery, DeliveryStatus, EndpointChange
from dev.postgres import Postgres
from tests.db.job_cases import completed, execute, one, rows, submitted
from tests.db.webhook_cases import (
    KEY,
    OWN_SECRET,
    SEAL,
    Answer,
    Message,
    Receiver,
    a_sender,
    after,
    deliver,
    delivering,
    drip,
    log_of,
    make_due,
    registered,
    reset,
    status,
    webhook_pool,
    without_webhooks,
)
from tests.servers import HttpServer
from tests.waiting import until
from worker.light.sender import RetrySchedule


@pytest.fixture(scope="module")
def pool(postgres: Postgres) -> Iterator[Database]:
    with webhook_pool(postgres) as database:
        yield database


@pytest.fixture
def database(pool: Database) -> Database:
    return without_webhooks(pool)


@pytest.fixture
def receiver(http_server: HttpServer) -> Iterator[Receiver]:
    receiver = Receiver(http_server)
    yield receiver
    receiver.let_go.set()


def job_with_webhook(database: Database, url: str | None = None) -> Job:
    """A completed job, with news for its own URL and for every endpoint."""
    return completed(database, submitted(database, webhook_url=url, tags=("board",)))


def only(deliveries: list[Delivery]) -> Delivery:
    assert len(deliveries) == 1, deliveries
    return deliveries[0]


def test_what_arrived_while_the_database_was_away_is_not_sent_again(postgres: Postgres, receiver: Receiver) -> None:
    with webhook_pool(postgres) as database, psycopg.connect(postgres.url("postgres"), autocommit=True) as other:
        database_name = str(conninfo_to_dict(database.url)["dbname"])
        name = sql.Identifier(database_name)
        back = threading.Event()

        def allow(allowed: bool) -> None:
            other.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}").format(name, sql.Literal(allowed)))

        def come_back() -> None:
            allow(True)
            back.set()

        def go_away(handler: BaseHTTPRequestHandler) -> None:
            allow(False)
            other.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                [database_name],
            )
            threading.Timer(1.5, come_back).start()
            status(204)(handler)

        job_with_webhook(database, receiver.url("hook", go_away))
        with delivering(database):
            assert back.wait(60)
            until(lambda: only(log_of(database)).status is DeliveryStatus.DELIVERED)
        assert only(log_of(database)).attempts == 1
        assert len(receiver.messages) == 1


def test_a_client_can_verify_it(database: Database, receiver: Receiver) -> None:
    url = receiver.url("hook", status(200, b"thanks"))
    _, secret = registered(database, url)
    job = job_with_webhook(database)
    sent = only(deliver(database))
    message = only_message(receiver)
    assert message.verified(secret) == {
        "type": "transcription.completed",
        "timestamp": sent.created_at.astimezone(UTC).isoformat(),
        "data": {
            "id": job.public_id,
            "status": "completed",
            "run": 1,
            "tags": ["board"],
            "audio_ms": 10_000,
            "processed_ms": 10_000,
            "warnings": [],
            "links": {
                "self": f"https://asr.example.com/v1/transcriptions/{job.public_id}",
                "transcript": f"https://asr.example.com/v1/transcriptions/{job.public_id}/transcript",
            },
        },
    }
    assert message.id == sent.public_id
    assert message.headers["content-type"] == "application/json"
    assert abs(time.time() - int(message.headers["webhook-timestamp"])) < 300
    with pytest.raises(WebhookVerificationError):
        message.verified(OWN_SECRET)
    assert (sent.status, sent.attempts, sent.last_status) == (DeliveryStatus.DELIVERED, 1, 200)
    assert (sent.answer, sent.error) == ("thanks", None)
    assert sent.delivered_at is not None


def only_message(receiver: Receiver) -> Message:
    assert len(receiver.messages) == 1
    return receiver.messages[0]


def test_a_jobs_own_url_is_signed_with_every_secret_of_the_installation(database: Database, receiver: Receiver) -> None:
    job_with_webhook(database, receiver.url("own?token=abc", status(204)))
    newer = webhooks.new_secret()
    sent = only(deliver(database, own_secrets=(newer, OWN_SECRET)))
    assert sent.status is DeliveryStatus.DELIVERED
    message = only_message(receiver)
    assert message.path == "/own?token=abc"
    assert message.verified(newer) == message.verified(OWN_SECRET)


def test_without_its_secret_nothing_is_sent(database: Database, receiver: Receiver) -> None:
    url = receiver.url("hook", status(200))
    registered(database, url)
    job_with_webhook(database, url)
    for sent in deliver(database, own_secrets=(), seal=None):
        assert (sent.status, sent.error) == (DeliveryStatus.PENDING, "configuration")
    make_due(database)
    other = SecretBox((Fernet.generate_key().decode(),))
    assert {sent.error for sent in deliver(database, own_secrets=(), seal=other)} == {"configuration"}
    assert receiver.messages == []


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
    pauses = sorted(
        (item.next_attempt_at - item.last_attempt_at).total_seconds()
        for item in deliver(database)
        if item.last_attempt_at is not None
    )
    assert pauses == pytest.approx([120, 3600, 8 * 3600], abs=10)


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


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"])
def test_private_addresses_are_refused(database: Database, receiver: Receiver, host: str) -> None:
    receiver.url("hook", status(200))
    job_with_webhook(database, f"http://{host}:{receiver.server.port}/hook")
    refused = only(deliver(database, allowed_private=()))
    assert (refused.status, refused.error) == (DeliveryStatus.DEAD, "address_not_allowed")
    assert receiver.server.requests == []


def test_a_hanging_receiver_holds_nobody_else_up(database: Database, receiver: Receiver) -> None:
    """More of its deliveries are due, and earlier, than there are threads; several receivers hang."""
    hanging = [receiver.url(f"hang{number}", receiver.hang) for number in range(4)]
    for url in hanging:
        registered(database, url)
    for _ in range(10):
        job_with_webhook(database)
    assert len(log_of(database)) == 40
    registered(database, receiver.url("well", status(200)))
    execute(database, "UPDATE webhook_endpoints SET enabled = (url LIKE '%well')")
    for _ in range(15):
        job_with_webhook(database)
    execute(database, "UPDATE webhook_endpoints SET enabled = true")
    with delivering(database, timeout_seconds=3600.0):  # no try of a hanging receiver ends before the others came
        until(lambda: len(receiver.to("well")) == 15)
        assert max(len(receiver.to(f"hang{number}")) for number in range(4)) <= 4
        receiver.let_go.set()


def test_a_crash_between_sending_and_recording_sends_it_again_with_the_same_id(
    database: Database, receiver: Receiver
) -> None:
    registered(database, receiver.url("hook", status(200)))
    job_with_webhook(database)
    due = webhooks.due(database, full=(), per_lane=4)
    parcels = webhooks.claim_deliveries(database, [item.id for item in due], lease_seconds=60)
    assert a_sender().send(parcels[0]).delivered
    # Here the worker dies. The delivery stays claimed until its lease ends.
    assert not webhooks.any_due(database)
    assert webhooks.claim_deliveries(database, [item.id for item in due], lease_seconds=60) == []
    make_due(database)
    sent = only(deliver(database))
    assert (sent.status, sent.attempts) == (DeliveryStatus.DELIVERED, 2)
    assert [message.id for message in receiver.messages] == [sent.public_id] * 2


def test_a_late_failure_changes_nothing_for_who_took_it_over_but_a_late_success_counts(
    database: Database, receiver: Receiver
) -> None:
    registered(database, receiver.url("hook", status(200)))
    job_with_webhook(database)
    ids = [item.id for item in webhooks.due(database, full=(), per_lane=4)]
    (first,) = webhooks.claim_deliveries(database, ids, lease_seconds=60)
    make_due(database)
    (second,) = webhooks.claim_deliveries(database, ids, lease_seconds=60)
    webhooks.record_failed(database, first, webhooks.Report(500, None, "http_status"), pause_seconds=None)
    assert only(log_of(database)).status is DeliveryStatus.PENDING
    webhooks.record_delivered(database, first, webhooks.Report(200, None))
    webhooks.record_failed(database, second, webhooks.Report(500, None, "http_status"), pause_seconds=1)
    assert only(log_of(database)).status is DeliveryStatus.DELIVERED


def test_several_deliverers_send_each_once(database: Database, receiver: Receiver) -> None:
    registered(database, receiver.url("hook", status(200)))
    for _ in range(24):
        job_with_webhook(database)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(delivering(database, timeout_seconds=10.0))
        until(lambda: {item.status for item in log_of(database)} == {DeliveryStatus.DELIVERED})
    ids = [message.id for message in receiver.messages]
    assert len(ids) == len(set(ids)) == 24


def test_after_the_last_try_it_is_dead_and_can_be_replayed(database: Database, receiver: Receiver) -> None:
    plan = RetrySchedule(0.001, 0.003)
    registered(database, receiver.url("hook", status(500)))
    job_with_webhook(database)
    tries = len(plan.pauses()) + 1
    with delivering(database, plan) as deliverer:

        def dead() -> bool:
            deliverer.wake()
            return only(log_of(database)).status is DeliveryStatus.DEAD

        until(dead)
    assert only(log_of(database)).attempts == tries == len(receiver.messages)
    receiver.url("hook", status(200))
    again = webhooks.replay(database, only(log_of(database)).id)
    assert again.status is DeliveryStatus.PENDING
    sent = only(deliver(database))
    assert (sent.status, sent.attempts) == (DeliveryStatus.DELIVERED, tries + 1)
    assert {message.id for message in receiver.messages} == {sent.public_id}


def test_a_replay_begins_a_new_plan_also_for_what_waits(database: Database, receiver: Receiver) -> None:
    registered(database, receiver.url("hook", status(500)))
    job_with_webhook(database)
    for _ in range(4):
        deliver(database)
        make_due(database)
    assert one(database, "SELECT failures FROM deliveries") == 4
    webhooks.replay(database, only(log_of(database)).id)
    deliver(database)
    assert one(database, "SELECT failures FROM deliveries") == 1


def test_replay_since_a_time(database: Database, receiver: Receiver) -> None:
    endpoint, _ = registered(database, receiver.url("hook", status(200)))
    other, _ = registered(database, receiver.url("other", status(200)))
    old, dead, new = job_with_webhook(database), job_with_webhook(database), job_with_webhook(database)
    deliver(database)
    execute(database, "UPDATE deliveries SET created_at = now() - interval '2 h' WHERE job_id = :id", id=old.id)
    execute(database, "UPDATE deliveries SET status = 'dead' WHERE job_id = :id", id=dead.id)
    since = datetime.now(UTC) - timedelta(hours=1)
    receiver.messages.clear()
    assert webhooks.replay_since(database, endpoint.id, since, only_dead=True) == 1
    deliver(database)
    assert [message.data["id"] for message in receiver.messages] == [dead.public_id]
    assert webhooks.replay_since(database, endpoint.id, since, only_dead=False) == 2
    deliver(database)
    assert {message.data["id"] for message in receiver.messages} == {dead.public_id, new.public_id}
    assert {message.path for message in receiver.messages} == {"/hook"}
    webhooks.update_endpoint(database, other.id, EndpointChange(enabled=False))
    with pytest.raises(WrongState):
        webhooks.replay_since(database, other.id, since, only_dead=False)


def test_while_a_secret_rotates_both_sign(database: Database, receiver: Receiver) -> None:
    endpoint, old = registered(database, receiver.url("hook", status(200)))
    rotated, new = webhooks.rotate_secret(database, SEAL, endpoint.id, overlap_seconds=3600)
    assert rotated.previous_secret_until is not None
    job_with_webhook(database)
    deliver(database)
    message = only_message(receiver)
    assert len(message.headers["webhook-signature"].split(" ")) == 2
    assert message.verified(old) == message.verified(new)
    execute(database, "UPDATE webhook_endpoints SET previous_secret_until = now() - interval '1 second'")
    job_with_webhook(database)
    deliver(database)
    late = receiver.messages[-1]
    late.verified(new)
    with pytest.raises(WebhookVerificationError):
        late.verified(old)
    _, newest = webhooks.rotate_secret(database, SEAL, endpoint.id, overlap_seconds=0)
    job_with_webhook(database)
    deliver(database)
    receiver.messages[-1].verified(newest)
    with pytest.raises(WebhookVerificationError):
        receiver.messages[-1].verified(new)


def test_a_test_event_is_a_delivery_like_others(database: Database, receiver: Receiver) -> None:
    endpoint, secret = registered(database, receiver.url("hook", status(200)))
    webhooks.send_test(database, endpoint.id)
    assert only(deliver(database)).event == "webhook.test"
    message = only_message(receiver).verified(secret)
    assert (message["type"], message["data"]["id"]) == ("webhook.test", endpoint.public_id)
    webhooks.update_endpoint(database, endpoint.id, EndpointChange(enabled=False))
    with pytest.raises(WrongState):
        webhooks.send_test(database, endpoint.id)


def test_secrets_are_encrypted_and_move_to_a_new_key(database: Database, receiver: Receiver) -> None:
    endpoint, secret = registered(database, receiver.url("hook", status(200)))
    stored = rows(database, "SELECT secret FROM webhook_endpoints")[0][0]
    assert secret.encode() not in bytes(stored)
    newer = Fernet.generate_key().decode()
    both = SecretBox((newer, KEY))
    webhooks.rotate_secret(database, SEAL, endpoint.id, overlap_seconds=3600)
    assert webhooks.reseal(database, both) == 2
    assert webhooks.reseal(database, both) == 0
    job_with_webhook(database)
    deliver(database, seal=SecretBox((newer,)))
    only_message(receiver).verified(secret)


def test_an_answer_that_comes_after_the_job_was_deleted_leaves_no_trace(database: Database, receiver: Receiver) -> None:
    job = job_with_webhook(database, receiver.url("own", after(0.5, status(200, b"left-behind"))))
    with delivering(database, timeout_seconds=10.0):
        until(lambda: receiver.messages)
        with database.transaction() as session:
            webhooks.forget_job(session, job.id)
        until(lambda: only(log_of(database)).status is DeliveryStatus.DELIVERED)
    assert only(log_of(database)).answer is None
    assert "left-behind" not in json.dumps(rows(database, "SELECT to_jsonb(d) FROM deliveries d")[0][0])
