"""What the integration tests of the worker share: the engine with the bundled model, and a recording."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dev.stack import REPOSITORY
from tests.e2e.recordings import Recording, spoken
from worker.engine.bundles import from_directory
from worker.engine.engine import Engine


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine with the bundled model."""
    engine = Engine.load(from_directory(REPOSITORY / "models" / "demo-zh"), "cpu", threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def recording(pytestconfig: pytest.Config) -> Recording:
    """Two minutes of speech."""
    assert pytestconfig.cache is not None
    return spoken(20, seed=20, cache=pytestconfig.cache.mkdir("recordings"))
