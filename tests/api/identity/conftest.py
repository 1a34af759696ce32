"""An API that knows keys, voices and summaries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.auth import identities
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.api.identity.cases import (
    CHAT,
)
from tests.db.job_cases import execute
from tests.db.webhook_cases import KEY


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), secret_key=KEY, voices="on", **CHAT) as api:
        yield api


@pytest.fixture
def api(shared: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    execute(shared.database, "DELETE FROM webhook_endpoints; DELETE FROM deliveries")
    return shared.emptied()
