"""One tenant's calls hold all the threads that they can get: another's call is served all the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import httpx
import psycopg
import pytest

from api.http.threads import OTHER_THREADS
from common import idempotency, keys
from common.db import connections
from common.jobs import Job
from common.keys import NewKey
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, RawClient, shared_api
from tests.db.job_cases import submitted
from tests.waiting import until

CONNECTIONS = 4
PATIENCE_SECONDS = 300
CALLS = CONNECTIONS + OTHER_THREADS + 10


@pytest.fixture(scope="module")
def shared(postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LOCK_TIMEOUT_MS", "STATEMENT_TIMEOUT_MS"):  # until the test frees the row
            patch.setattr(connections, name, 1000 * PATIENCE_SECONDS)
        patch.setattr(connections.BoundedConnection, "answer_timeout_seconds", 2.0 * PATIENCE_SECONDS)
        with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), database_pool_size=CONNECTIONS) as api:
            yield api


def key_of(api: Api, tenant: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {keys.create(api.database, NewKey('test', tenant=tenant))[1]}"}


def patient_client(api: Api) -> httpx.Client:
    """A client without a key, that waits for as long as a test does, on as many connections as it needs."""
    limits = httpx.Limits(max_connections=None)
    return httpx.Client(base_url=api.client.base_url, timeout=PATIENCE_SECONDS, trust_env=False, limits=limits)


@contextmanager
def held_row(api: Api, job: Job) -> Iterator[psycopg.Connection]:
    """Hold the row of a job, so that calls that change it wait."""
    with psycopg.connect(api.database.url) as connection:
        connection.execute("SELECT FROM jobs WHERE id = %s FOR UPDATE", [job.id])
        yield connection
        connection.rollback()


def waiting_for_a_lock(api: Api) -> int:
    """How many of the API's sessions wait for the row."""
    with psycopg.connect(api.database.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


def test_calls_that_wait_in_the_database_leave_room_for_another_tenant(api: Api) -> None:
    """Each of them holds a thread and a connection until the row is free."""
    mine, theirs = submitted(api.database, tenant="many"), submitted(api.database, tenant="other")
    many, other = key_of(api, "many"), key_of(api, "other")
    cancel = f"/v1/transcriptions/{mine.public_id}/cancel"
    with ThreadPoolExecutor(CALLS) as clients, patient_client(api) as client:
        with held_row(api, mine):
            calls: list[Future[httpx.Response]] = [
                clients.submit(client.post, cancel, headers=many) for _ in range(CALLS)
            ]
            until(lambda: waiting_for_a_lock(api) >= CONNECTIONS - 1)
            answers = [
                client.get(f"/v1/transcriptions/{theirs.public_id}", headers=other),  # an `async` route
                client.get("/v1/transcriptions", headers=other),  # a `def` route
                client.post("/v1/transcriptions", headers=other, files={"file": ("a.wav", b"RIFF")}),
            ]
            assert [answer.status_code for answer in answers] == [200, 200, 202]
            assert not any(call.done() for call in calls), "they were served after the others"
        assert {call.result().status_code for call in calls} <= {202, 409}


def lease_end(api: Api, key: str) -> datetime | None:
    """When the lease of an Idempotency-Key ends."""
    with psycopg.connect(api.database.url) as connection:
        row = connection.execute("SELECT lease_expires_at FROM idempotency_keys WHERE key = %s", [key]).fetchone()
    return row[0] if row else None


def test_a_lease_is_renewed_while_all_turns_of_its_tenant_are_taken(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "RENEW_SECONDS", 0.1)
    mine = submitted(api.database, tenant="busy")
    busy = key_of(api, "busy")
    raw = RawClient(api.port)
    lines = ["POST /v1/transcriptions HTTP/1.1", "Host: localhost", "Idempotency-Key: slow", "Content-Length: 90000"]
    lines += [f"Authorization: {busy['Authorization']}", "Content-Type: multipart/form-data; boundary=x", "", "--x"]
    with ThreadPoolExecutor(CALLS) as clients, patient_client(api) as client:
        try:
            raw.socket.sendall("\r\n".join([*lines, ""]).encode())
            until(lambda: lease_end(api, "slow"))
            with held_row(api, mine):
                cancel = f"/v1/transcriptions/{mine.public_id}/cancel"
                calls = [clients.submit(client.post, cancel, headers=busy) for _ in range(CALLS)]
                until(lambda: waiting_for_a_lock(api) >= CONNECTIONS - 1)
                before = lease_end(api, "slow")
                assert before is not None
                until(lambda: (lease_end(api, "slow") or before) > before)
                assert not any(call.done() for call in calls)
        finally:
            raw.close()


def test_bodies_that_drip_hold_no_turn(api: Api) -> None:
    """Bodies of `def` routes are received before the turn is taken."""
    slow = [RawClient(api.port) for _ in range(CALLS)]
    try:
        for raw in slow:
            lines = ["PATCH /v1/tenants/acme HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
            lines += [f"Authorization: {api.client.headers['authorization']}", "Content-Length: 19"]
            raw.socket.sendall("\r\n".join([*lines, "", '{"max_']).encode())
        with patient_client(api) as client:
            answer = client.get("/v1/transcriptions", headers=dict(api.client.headers))
            assert answer.status_code == 200, "of the same tenant"
        assert not any(raw.answered() for raw in slow)
        slow[0].socket.sendall(b'queued": 100}')
        assert slow[0].answer()[0] == 200
    finally:
        for raw in slow:
            raw.close()
