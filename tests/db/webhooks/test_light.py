"""Webhooks sent by real light workers: woken after the commit, killed in the middle, stopped with manners."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from common import webhooks
from common.db import Database
from common.jobs import Dispatcher
from common.queue import Publisher, make_app
from common.settings import Settings
from common.webhooks import DeliveryStatus
from dev.process import Child, spawn, stop_all
from dev.stack import REPOSITORY
from tests.conftest import variables
from tests.db.job_cases import completed, database_of, submitted
from tests.db.webhook_cases import (
    KEY,
    OWN_SECRET,
    Receiver,
    after,
    log_of,
    make_due,
    registered,
    status,
)
from tests.waiting import until


@pytest.fixture
def configured(settings: Settings) -> Settings:
    return settings.model_copy(
        update={
            "secret_key": SecretStr(KEY),
            "webhook_secret": SecretStr(OWN_SECRET),
            "fetch_allowed_private": ("127.0.0.1",),
            "log_format": "text",
        }
    )


@pytest.fixture
def database(configured: Settings) -> Iterator[Database]:
    pool = database_of(configured)
    yield pool
    pool.close()


def light_worker(configured: Settings, place: Path, name: str) -> Child:
    """A light worker that takes tasks; no beat runs, so nothing but a wake makes it send."""
    child = spawn(
        name,
        [sys.executable, "-m", "worker.light"],
        place / f"{name}.log",
        env=dict(os.environ) | variables(configured),
        cwd=REPOSITORY,
    )

    def ready() -> bool:
        child.check()
        return "ready" in child.log.read_text()

    until(ready, 60)
    return child


def test_it_arrives_soon_after_the_end_and_again_if_the_sender_is_killed(
    configured: Settings, database: Database, receiver: Receiver, tmp_path: Path
) -> None:
    _, secret = registered(database, receiver.url("hook", status(200)))
    publisher = Publisher(make_app(configured))
    dispatcher = Dispatcher(database, publisher, redispatch_seconds=15, wake_deliverers=publisher.wake_deliverers)
    dispatcher.start()
    workers = [light_worker(configured, tmp_path, "first")]
    try:
        job = completed(database, submitted(database))
        dispatcher.wake()
        until(lambda: receiver.messages)
        assert receiver.messages[0].verified(secret)["data"]["id"] == job.public_id
        until(lambda: log_of(database)[0].status is DeliveryStatus.DELIVERED)

        # Killed after the receiver got it, and before it could be recorded.
        receiver.url("hook", receiver.hang)
        completed(database, submitted(database))
        dispatcher.wake()
        until(lambda: len(receiver.messages) == 2)
        workers[0].process.send_signal(signal.SIGKILL)
        workers[0].process.wait()
        receiver.url("hook", status(200))
        make_due(database)  # the lease ends
        workers.append(light_worker(configured, tmp_path, "second"))
        until(lambda: {item.status for item in log_of(database)} == {DeliveryStatus.DELIVERED})
        assert receiver.messages[1].id == receiver.messages[2].id == log_of(database)[1].public_id

        # A worker that receives SIGTERM finishes its current deliveries.
        receiver.url("hook", after(1.5, status(200)))
        completed(database, submitted(database))
        dispatcher.wake()
        until(lambda: len(receiver.messages) == 4)
        workers[1].process.send_signal(signal.SIGTERM)
        assert workers[1].process.wait(60) == 0
        last = log_of(database)[-1]
        assert (last.status, last.attempts) == (DeliveryStatus.DELIVERED, 1)
        assert not webhooks.any_due(database)
    finally:
        dispatcher.stop()
        stop_all(workers, 0)
    logs = "".join(worker.log.read_text() for worker in workers)
    assert secret.removeprefix("whsec_") not in logs
    assert KEY not in logs
