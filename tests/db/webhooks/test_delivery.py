"""Deliveries, sent for real to a receiver on loopback that behaves and misbehaves."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC
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
from common.secret_box import SecretBox
from common.webhooks import DeliveryStatus, EndpointChange
from dev.postgres import Postgres
from tests.db.job_cases import execute, rows
from tests.db.webhook_cases import (
    KEY,
    OWN_SECRET,
    SEAL,
    Message,
    Receiver,
    after,
    deliver,
    delivering,
    job_with_webhook,
    log_of,
    make_due,
    only,
    registered,
    status,
    webhook_pool,
)
from tests.waiting import until


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
