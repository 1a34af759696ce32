"""docker-compose.yml against its schema, and against the code that it starts."""

from __future__ import annotations

import base64
import importlib.util
import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from common import queue
from common.settings import Settings, load_settings
from deploy.alive import BEAT_DIRECTORY
from tests.deploy.images import (
    COMPOSE,
    VARIABLE,
    example,
    exec_form,
    filled,
    ours,
    read_dockerfile,
    services,
)

GIVEN = {
    "POSTGRES_PASSWORD": "p1",
    "VALKEY_PASSWORD": "v2",
    "S3_SECRET_KEY": "s3",
    "FLOWER_PASSWORD": "f4",
    "PARAQUEUE_SECRET_KEY": base64.b64encode(b"k" * 32).decode(),
}
# They only send and watch messages.
WITHOUT_DATA = ("beat", "flower")
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
