"""A delivery is tried until it arrives or is dead, by one deliverer at a time, and can be replayed."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest

from common import webhooks
from common.db import Database
from common.errors import WrongState
from common.webhooks import DeliveryStatus, EndpointChange
from tests.db.job_cases import execute, one
from tests.db.webhook_cases import (
    Receiver,
    a_sender,
    deliver,
    delivering,
    job_with_webhook,
    log_of,
    make_due,
    only,
    registered,
    status,
)
from tests.waiting import until
from worker.light.sender import RetrySchedule


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
