"""Errors in one form, request ids, health, logs, the OpenAPI document, and the process itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from api.ops import health
from common.settings import Settings
from common.storage import LocalStorage
from dev.postgres import start_postgres
from dev.process import Child, free_port, spawn
from dev.stack import REPOSITORY, alembic
from dev.valkey import Valkey
from tests import roles
from tests.api.api_cases import Api, api_settings, form, problem_of, running_api
from tests.db.job_cases import execute, with_worker
from tests.servers import ADMIN_KEY, WITH_KEY
from tests.waiting import until

MEBIBYTE = 1024 * 1024


@pytest.fixture
def process(settings: Settings, environment: dict[str, str], tmp_path: Path) -> Iterator[tuple[Child, httpx.Client]]:
    """`python -m api.main`, answering."""
    del settings
    port = free_port()
    child = spawn(
        "API",
        [sys.executable, "-m", "api.main"],
        tmp_path / "api.log",
        env=environment | {"PARAQUEUE_PORT": str(port)},
        cwd=REPOSITORY,
    )
    base_url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=base_url, headers=WITH_KEY, timeout=60, trust_env=False) as client:
        try:
            until(lambda: _alive(child, client), 60)
            yield child, client
        finally:
            child.stop(10)


def _alive(child: Child, client: httpx.Client) -> bool:
    child.check()
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def logged(child: Child) -> list[dict[str, Any]]:
    return [json.loads(line) for line in child.log.read_text().splitlines()]


def test_a_path_that_there_is_not(api: Api) -> None:
    problem_of(api.client.get("/v1/nothing"), 404, "not_found")


def test_a_method_that_the_path_does_not_know(api: Api) -> None:
    answer = api.client.put("/v1/transcriptions")
    problem_of(answer, 405, "method_not_allowed")
    assert answer.headers["allow"]


def test_a_defect_is_told_without_its_details(database_url: str, redis_url: str, tmp_path: Path) -> None:
    with running_api(api_settings(database_url, redis_url, tmp_path)) as api:
        execute(api.database, "ALTER TABLE jobs RENAME TO gone")
        problem = problem_of(api.submit_link("https://example.com/a?sig=hush"), 500, "internal")
        assert problem["retryable"]
        for word in ("hush", "relation", "psycopg", "Traceback"):
            assert word not in json.dumps(problem)


def test_a_database_that_is_away_is_503(redis_url: str, tmp_path: Path) -> None:
    url = "postgresql://paraqueue:hush@127.0.0.1:1/none"
    with running_api(api_settings(url, redis_url, tmp_path)) as api:
        answer = api.submit_link()
        assert problem_of(answer, 503, "unavailable")["retryable"]
        assert "retry-after" in answer.headers
        assert "hush" not in answer.text
        problem_of(api.submit_file(), 503, "unavailable")


def test_a_request_id_goes_in_and_out(api: Api) -> None:
    for path in ("/v1/models", "/v1/nothing", "/health/live"):
        assert api.client.get(path, headers={"X-Request-ID": "abc-1.2_3"}).headers["x-request-id"] == "abc-1.2_3"
    problem = api.client.get("/v1/nothing", headers={"X-Request-ID": "abc"}).json()
    assert problem["request_id"] == "abc"


@pytest.mark.parametrize("given", ["", "a" * 101, "a b", 'a"b', "ü"])
def test_a_request_id_that_could_harm_a_log_is_replaced(api: Api, given: str) -> None:
    answer = api.client.get("/v1/models", headers={b"X-Request-ID": given.encode("latin-1")})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["x-request-id"])


def test_each_request_has_an_id_of_its_own(api: Api) -> None:
    assert len({api.client.get("/v1/models").headers["x-request-id"] for _ in range(5)}) == 5


def test_readiness_is_checked_once_for_all_who_ask_within_seconds(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[int] = []
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 3600.0)
    monkeypatch.setattr(LocalStorage, "check", lambda _: checked.append(1))
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda _: api.client.get("/health/ready"), range(24)))
    assert {answer.status_code for answer in answers} == {200}
    assert len(checked) <= 1, "none where another test asked before"


def test_health(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0.0)
    assert api.client.get("/health/live").json() == {"status": "alive"}
    answer = api.client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["checks"] == {"database": "ok", "redis": "ok", "storage": "ok"}
    assert answer.json()["workers"] == 0
    with_worker(api.database)
    with_worker(api.database, worker="b", model="other")
    assert api.client.get("/health/ready").json()["workers"] == 1


@pytest.mark.parametrize("away", ["database", "redis", "redis with a wrong password", "storage", "bucket"])
def test_not_ready_says_what_is_away(
    database_url: str, valkey: Valkey, tmp_path: Path, away: str, request: pytest.FixtureRequest
) -> None:
    redis_url = valkey.url()
    more: dict[str, Any] = {}
    if away == "database":
        database_url = "postgresql://paraqueue:hush@127.0.0.1:1/none"
    if away == "redis":
        redis_url = "redis://:hush@127.0.0.1:1/0"
    if away == "redis with a wrong password":
        redis_url = redis_url.replace(valkey.password, "hush")
    if away == "storage":
        (tmp_path / "storage").write_text("not a directory")
    settings = api_settings(database_url, redis_url, tmp_path, **more)
    if away == "bucket":
        s3 = request.getfixturevalue("s3_server")
        settings = settings.model_copy(
            update={
                "storage_url": "s3://no-such-bucket",
                "s3_endpoint_url": s3.endpoint_url,
                "s3_access_key_id": "nobody",
                "s3_secret_access_key": settings.database_url,
            }
        )
    with running_api(settings) as api:
        assert api.client.get("/health/live").status_code == 200
        answer = api.client.get("/health/ready")
        assert answer.status_code == 503
        body = answer.json()
        assert body["status"] == "not_ready"
        part = "storage" if away == "bucket" else away.split()[0]
        assert {name for name, outcome in body["checks"].items() if outcome != "ok"} == {part}
        assert "hush" not in answer.text


def test_postgres_that_comes_back_is_ready_again(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0.0)
    server = start_postgres(tmp_path / "postgres", tmp_path / "logs", "secret", durable=False)
    try:
        with running_api(api_settings(server.url("postgres"), redis_url, tmp_path)) as api:
            alembic(["upgrade", "head"], server.url("postgres"), tmp_path / "logs", REPOSITORY)
            roles.create(server, "postgres")
            assert api.client.get("/health/ready").json()["checks"]["database"] == "ok"
            server.child.stop(seconds=5)
            assert api.client.get("/health/ready").status_code == 503
            server = start_postgres(tmp_path / "postgres", tmp_path / "logs", "secret", server.port, durable=False)
            assert api.client.get("/health/ready").json()["checks"]["database"] == "ok"
    finally:
        server.child.stop(seconds=5)


def test_the_page_of_the_documentation_loads_nothing_from_elsewhere(api: Api) -> None:
    page = api.client.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 3
    for address in loaded:
        assert api.client.get(f"/{address}").status_code == 200, address
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "script-src 'self' 'sha256-" in policy
    assert api.client.get("/docs/assets/core.py").status_code == 404


def test_the_process_says_that_it_started(process: tuple[Child, httpx.Client]) -> None:
    child, _ = process
    [started] = [line for line in logged(child) if line["event"] == "api_started"]
    assert started["model"] == "demo-zh"


def test_the_api_imports_nothing_heavy() -> None:
    code = "import api.main, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    heavy = {"torch", "funasr", "numpy", "scipy", "modelscope", "worker", "dev", "training"}
    assert not heavy & set(done.stdout.split())


def test_logs_hold_no_secret_and_no_query(process: tuple[Child, httpx.Client], settings: Settings) -> None:
    child, client = process
    client.get("/v1/transcriptions", params={"tag": "hush1"})
    client.post("/v1/transcriptions", json={"audio_url": "https://example.com/a?Signature=hush2"})
    client.post("/v1/transcriptions", json={"audio_url": "https://user:hush3@example.com/a"})
    client.get("/v1/nothing?token=hush4", headers={"Authorization": "Bearer hush5", "Cookie": "a=hush6"})
    kind, body = form(("file", "a.wav", b"audio"))
    client.post("/v1/transcriptions?key=hush7", content=body, headers={"Content-Type": kind})
    from tests.db.job_cases import database_of

    database = database_of(settings)
    execute(database, "ALTER TABLE jobs RENAME TO gone")
    database.close()
    crashed = client.post("/v1/transcriptions", json={"audio_url": "https://example.com/a?Signature=hush8"})
    assert crashed.status_code == 500
    text = child.log.read_text()
    assert re.findall("hush[0-9]", text) == []
    assert ADMIN_KEY not in text
    for secret in (settings.database_url, settings.redis_url):
        assert re.findall("://[^@]*:([^@]+)@", secret.get_secret_value())[0] not in text
    events = logged(child)
    assert len([line for line in events if line["event"] == "request"]) == 6
    [defect] = [line for line in events if line["event"] == "request_crashed"]
    assert defect["request_id"] == crashed.headers["x-request-id"] == crashed.json()["request_id"]
    assert "UndefinedTable" in json.dumps(defect)


def test_a_wrong_setting_is_one_line_without_its_value() -> None:
    environment = dict(os.environ) | {
        "PARAQUEUE_DATABASE_URL": "mysql://user:hush@host/db",
        "PARAQUEUE_PORT": "http",
    }
    done = subprocess.run(
        [sys.executable, "-m", "api.main"], cwd=REPOSITORY, capture_output=True, text=True, env=environment, timeout=60
    )
    assert done.returncode == 2
    assert "PARAQUEUE_DATABASE_URL" in done.stderr
    assert "PARAQUEUE_PORT" in done.stderr
    assert "hush" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def upload_in_pieces(client: httpx.Client, mebibytes: int) -> httpx.Response:
    kind, body = form(("file", "a.wav", b"SPLIT"))
    head, _, tail = body.partition(b"SPLIT")

    def pieces() -> Iterator[bytes]:
        yield head
        for _ in range(mebibytes):
            yield b"\x55" * MEBIBYTE
        yield tail

    return client.post("/v1/transcriptions", content=pieces(), headers={"Content-Type": kind})


def test_memory_of_the_process_does_not_grow_with_an_upload(process: tuple[Child, httpx.Client]) -> None:
    child, client = process
    server = psutil.Process(child.process.pid)
    assert upload_in_pieces(client, 5).status_code == 202
    before = server.memory_info().rss
    answer = upload_in_pieces(client, 300)
    assert answer.json()["source"]["bytes"] == 300 * MEBIBYTE
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{server.pid}/status").read_text())[1]) * 1024  # type: ignore[index]
    assert peak - before < 40 * MEBIBYTE
