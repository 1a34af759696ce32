"""What the tests of the API share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.auth import rate_limits
from dev.postgres import Postgres
from dev.valkey import Valkey
from paraqueue import Client
from tests.api.api_cases import Api, shared_api
from tests.api.command_cases import Run, runner
from tests.roles import in_roles
from tests.servers import ADMIN_KEY


@pytest.fixture(scope="session", autouse=True)
def patient_rate_limits() -> Iterator[None]:
    """On a busy machine Redis takes longer than a service should wait for it; then nothing would be counted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rate_limits, "PATIENCE_SECONDS", 3.0)
        yield


@pytest.fixture(scope="module", autouse=True)
def roles_of_processes() -> Iterator[None]:
    """A missing grant in migrations/roles.sql fails the test of whatever lacks it."""
    with in_roles():
        yield


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API with the usual settings; a module that needs others has a fixture of its own."""
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def api(shared: Api) -> Api:
    """The API without the rows of earlier tests."""
    return shared.emptied()


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    """The client library, with the operator's key."""
    with Client(f"http://127.0.0.1:{api.port}", ADMIN_KEY) as client:
        yield client


@pytest.fixture
def run(api: Api, tmp_path: Path) -> Run:
    """The `paraqueue` command for the API of the test."""
    return runner(str(api.client.base_url).rstrip("/"), tmp_path)
