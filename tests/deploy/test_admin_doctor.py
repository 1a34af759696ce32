"""`python -m admin doctor`: each check seen well and seen failing, on real servers; and nothing hangs it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from pydantic import SecretStr

from admin import doctor, gpus, machine
from admin.checks import Found, Level
from admin.roles import API
from common import jobs, keys
from common.db import Database
from common.jobs import Worker
from common.keys import NewKey
from common.settings import Settings
from dev.process import free_port
from dev.stack import REPOSITORY
from tests.db.job_cases import completed, execute, submitted
from tests.pooler import pooled
from tests.roles import as_role
from tests.servers import HttpServer

NOBODY = "127.0.0.1:1"
AWAY = {
    "database": {"database_url": f"postgresql://x:secret@{NOBODY}/x"},
    "role": {"database_url": f"postgresql://x:secret@{NOBODY}/x"},
    "schema": {"database_url": f"postgresql://x:secret@{NOBODY}/x"},
    "clock": {"database_url": f"postgresql://x:secret@{NOBODY}/x"},
    "workers": {"database_url": f"postgresql://x:secret@{NOBODY}/x"},
    "moving": {"database_url": f"postgresql://x:secret@{NOBODY}/x"},
    "secrets": {"database_url": f"postgresql://x:secret@{NOBODY}/x"},
    "redis": {"redis_url": f"redis://:secret@{NOBODY}/0"},
    "light": {"redis_url": f"redis://:secret@{NOBODY}/0"},
    "storage": {"storage_url": "file:/proc/no/such/place"},
}


@pytest.fixture
def look(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Found]:
    """One check, as `examine` makes it, with changed settings."""

    def one(name: str, **changes: Any) -> Found:
        monkeypatch.setattr(doctor, "load_settings", lambda: Settings(**dict(settings) | changes))
        [result] = doctor.examine([name], timeout_seconds=30)
        return Found(result.level, result.message, result.hint)

    return one


def worker(name: str = "w-1", precision: str = "fp32") -> Worker:
    return Worker(name, "demo-zh", "r1", precision, "cpu", 4)


def test_each_server_that_is_there_is_named(look: Callable[..., Found]) -> None:
    assert look("database").message.startswith("PostgreSQL 18")
    assert look("redis").message.startswith("Valkey 9")
    assert "written, read, deleted" in look("storage").message
    for name in ("database", "role", "redis", "storage", "schema", "clock", "moving", "decoder", "model", "device"):
        assert look(name).level is Level.OK, name


@pytest.mark.parametrize("name", AWAY)
def test_each_server_that_is_away_is_a_failure_with_a_hint_and_without_its_password(
    look: Callable[..., Found], name: str
) -> None:
    check = look(name, **AWAY[name])
    assert check.level is Level.FAIL
    assert check.hint
    assert "secret" not in check.message


def test_the_role_of_the_service_is_named_and_sees_all_that_is_checked(
    look: Callable[..., Found], settings: Settings, database: Database
) -> None:
    assert look("role").message == "paraqueue is a superuser"
    assert "docs/deploy.md" in str(look("role").hint)
    url = as_role(settings.postgres_url, API)
    assert look("role", database_url=SecretStr(url)) == Found(Level.OK, f"{API} cannot change the schema")
    for name in ("database", "schema", "clock", "workers", "moving", "secrets"):
        assert look(name, database_url=SecretStr(url)).level is look(name).level, name
    execute(database, "ALTER TABLE jobs OWNER TO paraqueue_api")
    owns = look("role", database_url=SecretStr(url))
    assert (owns.level, owns.message) == (Level.OK, f"{API} owns the tables")


def test_a_setting_with_a_typing_error(look: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    assert look("settings").level is Level.OK
    monkeypatch.setenv("PARAQUEUE_MODLE", "x")
    hint = "did you mean PARAQUEUE_MODEL? docs/configuration.md names every setting"
    assert look("settings") == Found(Level.WARN, "not a setting: PARAQUEUE_MODLE", hint)
    monkeypatch.setenv("PARAQUEUE_XYZZY", "y")
    assert look("settings").message == "not a setting: PARAQUEUE_MODLE, PARAQUEUE_XYZZY"
    monkeypatch.delenv("PARAQUEUE_MODLE")
    assert look("settings").hint == "docs/configuration.md names every setting"


def test_a_database_whose_sessions_may_wait_for_ever(look: Callable[..., Found], settings: Settings) -> None:
    url = settings.postgres_url
    options = "options=-c%20lock_timeout%3D0%20-c%20statement_timeout%3D0"
    check = look("database", database_url=SecretStr(f"{url}{'&' if '?' in url else '?'}{options}"))
    assert check.level is Level.WARN
    assert check.message.endswith("run without lock_timeout, statement_timeout")


@pytest.mark.parametrize(
    ("shared", "level", "message"),
    [
        (False, Level.WARN, "run without idle_in_transaction_session_timeout, lock_timeout, statement_timeout"),
        (True, Level.FAIL, "shares sessions between connections, like PgBouncer in transaction mode"),
    ],
)
def test_a_pooler_before_the_database(
    look: Callable[..., Found], settings: Settings, shared: bool, level: Level, message: str
) -> None:
    with pooled(settings.postgres_url, shared=shared) as url:
        check = look("database", database_url=SecretStr(url))
        direct = look("database", database_url=SecretStr(url), database_direct_url=SecretStr(settings.postgres_url))
    assert (check.level, check.message.partition(" ")[2].endswith(message)) == (level, True), check
    assert check.hint
    assert direct.level is Level.WARN  # the timeouts are missing either way
    assert "run without" in direct.message


def test_a_database_without_a_column_of_the_code(look: Callable[..., Found], database: Database) -> None:
    execute(database, "ALTER TABLE workers DROP COLUMN drain")
    check = look("schema")
    assert check == Found(Level.FAIL, "the database lacks workers.drain", "run python -m alembic upgrade head")
    execute(database, "ALTER TABLE workers ADD COLUMN drain text")
    execute(database, "UPDATE alembic_version SET version_num = '0000'")
    check = look("schema")
    assert (check.level, "stands at 0000" in check.message) == (Level.WARN, True)


def test_a_clock_that_is_off(look: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + 5)
    assert look("clock").level is Level.WARN
    monkeypatch.setattr(time, "time", lambda: right() - 3600)
    check = look("clock")
    assert (check.level, check.message.startswith("3600")) == (Level.FAIL, True)
    assert check.message.endswith("behind PostgreSQL's")


def test_a_redis_that_forgets(look: Callable[..., Found], settings: Settings) -> None:
    with redis.Redis.from_url(settings.redis_url.get_secret_value()) as client:
        before = client.config_get("maxmemory-policy")["maxmemory-policy"]
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            assert look("redis").level is Level.WARN
        finally:
            client.config_set("maxmemory-policy", before)


def test_a_model_that_is_missing_or_not_whole(look: Callable[..., Found], tmp_path: Path) -> None:
    assert look("model", model="paraformer-large-zh", models_dir=tmp_path).level is Level.FAIL
    may = look("model", model="paraformer-large-zh", models_dir=tmp_path, model_source="modelscope")
    assert may.level is Level.WARN
    assert look("model", model="nobody-knows-it").level is Level.FAIL
    (tmp_path / "demo-zh" / "asr").mkdir(parents=True)
    broken = look("model", models_dir=tmp_path)
    assert (broken.level, "asr/model.pt" in broken.message) == (Level.FAIL, True)


def test_a_decoder_that_does_not_start(look: Callable[..., Found]) -> None:
    assert look("decoder").message.startswith("PyAV ")
    assert look("decoder", decode_memory_bytes=30 << 20).level is Level.FAIL


def test_a_gpu_that_is_not_there(look: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "gpus", list)
    assert look("device", device="cuda:0").level is Level.FAIL
    assert "CPU" in look("device", device="auto").message


@pytest.mark.parametrize(
    ("line", "cuda", "precision", "level", "message"),
    [
        ("NVIDIA H200, 143771 MiB, 580.65.06, 9.0", "13.0", "bf16", Level.OK, "NVIDIA H200, 143771 MiB, driver 580"),
        ("NVIDIA H200, 143771 MiB, 575.57.08, 9.0", "13.0", "fp32", Level.FAIL, "driver 575.57.08 is too old"),
        ("NVIDIA H200, 143771 MiB, 575.57.08, 9.0", "12.6", "fp32", Level.OK, "driver 575.57.08"),
        ("Tesla V100, 16384 MiB, 580.65.06, 7.0", "13.0", "fp32", Level.FAIL, "compute capability 7.0"),
        ("Tesla V100, 16384 MiB, 580.65.06, 7.0", "12.6", "bf16", Level.WARN, "bf16 in software"),
        ("NVIDIA H200, 143771 MiB, 580.65.06, 9.0", None, "fp32", Level.FAIL, "a CPU build"),
        ("GeForce, 8192 MiB, [N/A], [N/A]", "13.0", "fp32", Level.OK, "GeForce"),
        ("GeForce, 8192 MiB", "13.0", "fp32", Level.OK, "GeForce"),
    ],
)
def test_a_gpu_is_compared_with_the_build_of_torch(
    line: str,
    cuda: str | None,
    precision: str,
    level: Level,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(f"#!/bin/sh\necho '{line}'\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(smi.parent), prepend=os.pathsep)
    torch = tmp_path / "torch"
    torch.mkdir()
    (torch / "__init__.py").touch()
    (torch / "version.py").write_text(f"__version__ = '2.13.0'\ncuda: Optional[str] = {cuda!r}\n")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    result = machine.device(Settings(device="cuda:0", precision=precision), deep=False)
    assert (result.level, message in result.message) == (level, True), result.message


def test_a_disk_that_is_full(look: Callable[..., Found], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    for free, level in ((5 << 30, Level.OK), (2 << 30, Level.WARN), (1 << 20, Level.FAIL)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(1 << 40, 0, free))
        assert look("disk").level is level


def test_who_can_call(look: Callable[..., Found], database: Database) -> None:
    assert look("secrets", admin_key=None).level is Level.FAIL
    keys.create(database, NewKey("first"))
    check = look("secrets", admin_key=None)
    assert check.level is Level.WARN
    assert "PARAQUEUE_SECRET_KEY is not set: no sign-in to the console" in check.message
    assert "PARAQUEUE_WEBHOOK_SECRET is not set" in check.message
    whole = {"secret_key": "A" * 43 + "=", "webhook_secret": "whsec_" + "A" * 32}
    assert look("secrets", **whole) == Found(Level.OK, "1 API keys; webhooks can be signed")
    assert look("secrets", auth="off").level is Level.WARN


def test_workers_that_are_away_or_differ(look: Callable[..., Found], database: Database) -> None:
    assert look("workers").level is Level.WARN
    jobs.register_worker(database, worker())
    assert look("workers") == Found(Level.OK, "1 for demo-zh with 4 slots")
    jobs.register_worker(database, worker("w-2", precision="int8"))
    assert look("workers").level is Level.WARN


def test_no_light_worker(look: Callable[..., Found]) -> None:
    check = look("light")
    assert (check.level, check.hint) == (Level.FAIL, "start python -m worker.light")


def test_what_is_stuck_is_told(look: Callable[..., Found], database: Database) -> None:
    submitted(database)
    assert look("moving").message == "something is stuck: no_worker"
    jobs.register_worker(database, worker())
    assert look("moving").level is Level.OK
    completed(database, submitted(database, webhook_url="https://example.com/hook"))
    execute(database, "UPDATE deliveries SET next_attempt_at = now() - interval '1 hour'")
    assert look("moving").message == "something is stuck: deliveries_overdue"


def test_who_listens_at_the_port(look: Callable[..., Found], http_server: HttpServer) -> None:
    assert look("api", port=free_port()).level is Level.WARN
    assert "another program" in look("api", port=http_server.port).message
    body = json.dumps({"checks": {"database": "ok", "redis": "Redis does not respond"}}).encode()

    def not_ready(handler: Any) -> None:
        handler.send_response(503)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    http_server.routes["/health/ready"] = not_ready
    assert look("api", port=http_server.port).message.endswith("is not ready: redis: Redis does not respond")


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "admin", "doctor", *arguments]
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
