"""A database and a receiver for deliveries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.db import Database
from dev.postgres import Postgres
from tests.db.webhook_cases import Receiver, webhook_pool, without_webhooks
from tests.servers import HttpServer


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
