"""What integration tests share: a migrated database, the engine with the bundled model, and a recording."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from api.auth import rate_limits
from common.db import Database
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.e2e.recordings import Recording, spoken
from tests.integration.job_cases import emptied, pool_on
from worker.engine.bundles import from_directory
from worker.engine.engine import Engine


@pytest.fixture(scope="session", autouse=True)
def patient_rate_limits() -> Iterator[None]:
    """On a busy machine Redis takes longer than a service should wait for it; then nothing would be counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "PATIENCE_SECONDS", 3.0)
        yield


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine with the bundled model."""
    engine = Engine.load(from_directory(REPOSITORY / "models" / "demo-zh"), "cpu", threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def recording() -> Recording:
    """Two minutes of speech."""
    return spoken(20, seed=20)


@pytest.fixture(scope="module")
def pool(postgres: Postgres) -> Iterator[Database]:
    """A database with the schema, for all tests of a module."""
    with pool_on(postgres) as database:
        yield database


@pytest.fixture
def database(pool: Database) -> Database:
    """The same, without rows."""
    return emptied(pool)
