"""The systemd units and the nginx example: what their own programs say, and whether they fit the code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.main import create_app
from api.server import SHUTDOWN_SECONDS
from common.settings import Settings
from deploy.alive import BEAT_DIRECTORY
from dev.stack import REPOSITORY
from tests.deploy.images import services
from tests.deploy.test_compose import command_problem, seconds

UNITS = REPOSITORY / "deploy" / "systemd"
NGINX = REPOSITORY / "deploy" / "nginx" / "paraqueue.conf"
PYTHON = "/opt/paraqueue/.venv/bin/python"
OF_COMPOSE = {"api": "api", "worker@": "worker", "light": "light", "beat": "beat", "migrate": "migrate"}
STAYING = ("api", "worker@", "light", "beat")


def unit(name: str) -> dict[str, list[str]]:
    """The settings of a unit; a repeated one has several values."""
    options: dict[str, list[str]] = {}
    for line in (UNITS / f"paraqueue-{name}.service").read_text().splitlines():
        key, given, value = line.partition("=")
        if given and not line.startswith("#"):
            options.setdefault(key, []).append(value)
    return options


def environment(name: str) -> dict[str, str]:
    return dict(word.split("=", 1) for line in unit(name).get("Environment", []) for word in line.split())


def env_file() -> dict[str, str]:
    lines = [line for line in (UNITS / "paraqueue.env").read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def verified(folder: Path) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (package systemd)")
    units = sorted(str(path) for path in folder.glob("paraqueue*"))
    ran = subprocess.run([program, "verify", "--man=no", *units], capture_output=True, text=True, timeout=300)
    return ran.stderr + ran.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as if they were installed with the Python that is here."""
    for path in UNITS.glob("paraqueue*.*"):
        if path.suffix != ".env":
            (tmp_path / path.name).write_text(path.read_text().replace(PYTHON, sys.executable))
    return tmp_path


def test_systemd_has_nothing_to_say(installed: Path) -> None:
    assert len(list(installed.iterdir())) == 6
    assert verified(installed) == ""


def test_systemd_would_say_something(installed: Path) -> None:
    file = installed / "paraqueue-api.service"
    file.write_text(file.read_text().replace("TimeoutStopSec=", "TimeoutStopSecond="))
    assert "TimeoutStopSecond" in verified(installed)


@pytest.mark.parametrize("name", OF_COMPOSE)
def test_commands_are_those_of_compose_and_exist(name: str) -> None:
    [command] = unit(name)["ExecStart"]
    assert command.startswith(f"{PYTHON} -m ")
    words = ["python", *command.split()[1:]]
    assert words == services()[OF_COMPOSE[name]]["command"]
    assert command_problem(words) is None


@pytest.mark.parametrize("name", STAYING)
def test_processes_come_back_and_have_time_to_stop(name: str) -> None:
    given = unit(name)
    assert given["Restart"] == ["on-failure" if name == "worker@" else "always"]
    assert given["WantedBy"] == given["PartOf"] == ["paraqueue.target"]
    grace = float(given["TimeoutStopSec"][0])
    if name == "api":
        assert grace > SHUTDOWN_SECONDS
    elif name == "worker@":
        assert grace >= seconds(services()["worker"]["stop_grace_period"]) + Settings().lease_seconds
    elif name == "light":
        assert grace >= seconds(services()["light"]["stop_grace_period"])


@pytest.mark.parametrize("name", OF_COMPOSE)
def test_units_run_as_nobody_special(name: str) -> None:
    given = unit(name)
    assert given["User"] == ["paraqueue"]
    for key in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "RestrictNamespaces", "LockPersonality"):
        assert given[key] == ["yes"], key
    assert given["ProtectSystem"] == ["strict"]
    assert given["CapabilityBoundingSet"] == [""]


def test_a_worker_has_what_a_gpu_and_a_compiler_need() -> None:
    given = unit("worker@")
    assert "PrivateDevices" not in given
    assert "MemoryDenyWriteExecute" not in given
    assert environment("worker@")["CUDA_VISIBLE_DEVICES"] == "%i"
    assert Settings(device=environment("worker@")["PARAQUEUE_DEVICE"]).device == "auto"


def test_settings_exist_and_lie_where_the_units_may_write() -> None:
    known = {f"PARAQUEUE_{name.upper()}" for name in Settings.model_fields}
    given = env_file()
    assert set(given) | {name for name in environment("worker@") if name.startswith("PARAQUEUE_")} <= known
    for name, variable in (
        ("worker@", "PARAQUEUE_MODELS_DIR"),
        ("worker@", "PARAQUEUE_SCRATCH_DIR"),
        ("light", "PARAQUEUE_SCRATCH_DIR"),
        ("api", "PARAQUEUE_STORAGE_URL"),
        ("light", "PARAQUEUE_STORAGE_URL"),
        ("worker@", "PARAQUEUE_STORAGE_URL"),
    ):
        made = {f"/var/lib/{place}" for place in unit(name)["StateDirectory"][0].split()}
        assert given[variable].removeprefix("file:") in made, (name, variable)
    assert str(BEAT_DIRECTORY) in {f"/var/lib/{place}" for place in unit("beat")["StateDirectory"][0].split()}
    assert environment("worker@")["NUMBA_CACHE_DIR"].removeprefix("/var/cache/") in unit("worker@")["CacheDirectory"][0]


def test_each_process_can_have_its_own_database_role() -> None:
    """The later file wins, and a file that does not exist is no error."""
    own = {"api": "api", "worker@": "worker", "light": "light", "migrate": "migrate"}
    page = (REPOSITORY / "docs" / "deploy.md").read_text("utf-8")
    for name, file in own.items():
        first, second, *_ = unit(name)["EnvironmentFile"]
        assert (first, second) == ("/etc/paraqueue/paraqueue.env", f"-/etc/paraqueue/{file}.env")
        assert f"`{file}.env`" in page


def test_nothing_secret_stands_in_the_example() -> None:
    given = env_file()
    for name, field in Settings.model_fields.items():
        if "SecretStr" in str(field.annotation):
            assert given.get(f"PARAQUEUE_{name.upper()}", "") == "", name


def test_nginx_suits_uploads_streams_and_the_longest_wait() -> None:
    text = NGINX.read_text()
    given = dict(re.findall(r"^\s*(\w+)\s+([^;{]+);", text, re.MULTILINE))
    assert (given["proxy_request_buffering"], given["proxy_buffering"]) == ("off", "off")
    assert given["add_header"].startswith("Strict-Transport-Security ")
    values: dict[str, Any] = {
        name.removeprefix("PARAQUEUE_").lower(): value for name, value in env_file().items() if value
    }
    settings = Settings(**values)
    assert f"server {settings.host}:{settings.port};" in text
    assert float(given["proxy_read_timeout"].rstrip("s")) > settings.openai_wait_seconds
    assert float(given["client_body_timeout"].rstrip("s")) > settings.request_idle_seconds, "the API says why"
    assert "/v1/audio/transcriptions" in create_app(settings).openapi()["paths"]


def test_nginx_limits_bodies_but_those_of_uploads() -> None:
    text = NGINX.read_text()
    server, uploads = re.findall(r"client_max_body_size (\w+);", text)
    assert (server, uploads) == ("1m", "0")
    location = re.search(r"location ~ (\S+) \{\s+client_max_body_size 0;", text)
    assert location is not None
    paths = create_app(Settings()).openapi()["paths"]
    unlimited = {path for path in paths if re.match(location[1], path.replace("{", "").replace("}", ""))}
    assert unlimited == {"/v1/transcriptions", "/v1/audio/transcriptions"} | {
        path for path in paths if path.startswith("/v1/uploads")
    }


def test_nginx_takes_the_file(tmp_path: Path) -> None:
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "1"]
    made += ["-keyout", str(tmp_path / "privkey.pem"), "-out", str(tmp_path / "fullchain.pem")]
    subprocess.run(made, check=True, capture_output=True, timeout=300)
    (tmp_path / "site.conf").write_text(NGINX.read_text().replace("/etc/ssl/paraqueue", str(tmp_path)))
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    places = " ".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in kinds)
    http = f"http {{ access_log off; {places} include {tmp_path}/site.conf; }}"
    whole = f"pid {tmp_path}/pid; error_log stderr; events {{}} {http}"
    (tmp_path / "nginx.conf").write_text(whole)
    ran = subprocess.run(
        [program, "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
