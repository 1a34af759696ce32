"""More calls at once than the API has database connections: they wait for their turn, and none is refused."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from api.http.threads import OTHER_THREADS, SPARE_THREADS
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.db.job_cases import submitted

CONNECTIONS = 2
CALLS, CLIENTS = 200, 60
PATIENCE_SECONDS = 300


@pytest.fixture(scope="module")
def api(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), database_pool_size=CONNECTIONS) as api:
        yield api


def request_threads() -> int:
    """The threads of the API, which runs in this process."""
    return sum(thread.name == "AnyIO worker thread" for thread in threading.enumerate())


def test_a_burst_of_calls_waits_for_few_connections(api: Api) -> None:
    job = submitted(api.database)
    paths = [f"/v1/transcriptions/{job.public_id}", "/v1/transcriptions?limit=5"]
    together = threading.Barrier(CLIENTS)
    most = []

    def call(number: int) -> int:
        if number < CLIENTS:
            together.wait(PATIENCE_SECONDS)
        answer = api.client.get(paths[number % 2], timeout=PATIENCE_SECONDS)
        most.append(request_threads())
        return answer.status_code

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert list(clients.map(call, range(CALLS))) == [200] * CALLS
    assert 1 < max(most) <= CONNECTIONS + OTHER_THREADS + SPARE_THREADS < CLIENTS
