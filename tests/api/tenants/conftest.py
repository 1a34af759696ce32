"""An API whose limits are counted anew for each test."""

from __future__ import annotations

import pytest

from api.auth import identities, rate_limits
from dev.valkey import Valkey
from tests.api.api_cases import Api
from tests.db.job_cases import execute
from tests.servers import flush


@pytest.fixture
def api(shared: Api, valkey: Valkey, monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)
    monkeypatch.setattr(rate_limits, "PATIENCE_SECONDS", 5.0)  # a busy machine is no outage
    flush(valkey)
    execute(shared.database, "DELETE FROM uploads")
    return shared.emptied()
