"""The override files of compose: they fit its schema, and the combined configuration runs."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from admin import roles
from admin.cli import app
from common.settings import Settings, load_settings
from tests.deploy.images import COMPOSE, VARIABLE, filled, ours, path_of, services
from tests.deploy.test_compose import GIVEN, command_problem

EXTERNAL = "deploy/compose.external.yml"
GPUS = "deploy/compose.gpus.yml"
ROLES = "deploy/compose.roles.yml"
PASSWORDS = {variable: f"of-{role}" for role, variable in roles.ROLES.items()}
ROLE_OF = {"api": roles.API, "worker": roles.WORKER, "worker-gpu": roles.WORKER, "light": roles.LIGHT}
BUNDLED = {"postgres", "valkey", "s3"}
OWN = GIVEN | {
    "PARAQUEUE_DATABASE_URL": "postgresql://paraqueue:own@db.corp.example:5432/paraqueue",
    "PARAQUEUE_REDIS_URL": "redis://:own@redis.corp.example:6379/0",
    "PARAQUEUE_STORAGE_URL": "s3://own",
    "PARAQUEUE_S3_ENDPOINT_URL": "https://s3.corp.example",
    "PARAQUEUE_S3_ACCESS_KEY_ID": "own",
    "PARAQUEUE_S3_SECRET_ACCESS_KEY": "own",
}


class Replaced:
    """A value with the tag `!override` or `!reset`: it replaces what the first file says."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Loader(yaml.SafeLoader):
    """Knows compose's tags; keeps them."""


class Plain(yaml.SafeLoader):
    """Ignores compose's tags."""


def _value(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    assert isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True)


def _replaced(loader: yaml.SafeLoader, node: yaml.Node) -> Replaced:
    return Replaced(_value(loader, node))


for _tag in ("!override", "!reset"):
    Loader.add_constructor(_tag, _replaced)
    Plain.add_constructor(_tag, _value)


def merged(first: Any, second: Any) -> Any:
    """Compose's rules: mappings are merged, lists but commands are joined, other values are replaced."""
    if isinstance(second, Replaced):
        return second.value
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {
            key: value if key in {"command", "entrypoint"} else merged(first.get(key), value)
            for key, value in second.items()
        }
    if isinstance(first, list) and isinstance(second, list):
        return first + [item for item in second if item not in first]
    return second


def project(*files: str) -> dict[str, dict[str, Any]]:
    """The services that compose sees with these overrides."""
    combined = copy.deepcopy(services())
    for file in files:
        for name, service in yaml.load(path_of(file).read_text(), Loader)["services"].items():
            base = service.pop("extends", None)
            combined[name] = merged(combined[base["service"] if base else name], service)
    return combined


@pytest.mark.parametrize("file", [EXTERNAL, GPUS, ROLES])
def test_fits_the_schema_of_compose(file: str, tmp_path: Path) -> None:
    plain = tmp_path / "compose.json"
    plain.write_text(json.dumps(yaml.load(path_of(file).read_text(), Plain)))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(plain)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_own_servers_replace_the_bundled_ones() -> None:
    combined = project(EXTERNAL)
    assert {name for name in BUNDLED if combined[name].get("profiles")} == BUNDLED
    for name in set(combined) - BUNDLED:
        assert not BUNDLED & set(combined[name]["depends_on"]), name
        assert "outside" in combined[name]["networks"], f"{name} cannot reach servers outside of the internal network"


@pytest.mark.parametrize("name", sorted(ours()))
def test_no_process_knows_a_bundled_server(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {key: filled(str(value), OWN) for key, value in project(EXTERNAL)[name]["environment"].items()}
    assert not re.search(r"@(postgres|valkey):|//s3:", " ".join(environment.values()))
    for key, value in environment.items():
        monkeypatch.setenv(key, value)
    assert "corp.example" in load_settings().redis_url.get_secret_value()


def test_the_page_and_the_file_name_the_variables_that_are_needed() -> None:
    text = path_of(EXTERNAL).read_text()
    needed = {match["name"] for match in VARIABLE.finditer(text) if match["name"]}
    assert needed == set(OWN) - set(GIVEN)
    assert needed <= {f"PARAQUEUE_{field.upper()}" for field in Settings.model_fields}
    page = path_of("docs/deploy.md").read_text()
    for name in needed:
        assert f"#   {name}=" in text
        assert f"\n{name}=" in page


@pytest.mark.parametrize(
    ("files", "address"), [((ROLES,), "postgres:5432/paraqueue"), ((EXTERNAL, ROLES), "db.corp.example:5432/paraqueue")]
)
def test_each_process_connects_with_its_own_role(files: tuple[str, ...], address: str) -> None:
    values = OWN | PASSWORDS | ({"POSTGRES_ADDRESS": address} if EXTERNAL in files else {})
    combined = project(*files)
    for name, role in ROLE_OF.items():
        environment = {key: filled(str(value), values) for key, value in combined[name]["environment"].items()}
        assert environment["PARAQUEUE_DATABASE_URL"] == f"postgresql://{role}:of-{role}@{address}"
        assert environment["PARAQUEUE_STORAGE_URL"]
        others = {password for password in PASSWORDS.values() if password != f"of-{role}"}
        assert not others & set(re.split(r"[:@]", environment["PARAQUEUE_DATABASE_URL"]))
    migrate = {key: filled(str(value), values) for key, value in combined["migrate"]["environment"].items()}
    assert migrate.items() >= PASSWORDS.items()
    assert "//paraqueue:" in migrate["PARAQUEUE_DATABASE_URL"], "migrations need the owner"
    shell, option, command = combined["migrate"]["command"]
    upgrade, roles_command = command.split(" && ")
    assert (shell, option, upgrade) == ("sh", "-c", " ".join(services()["migrate"]["command"]))
    assert command_problem(roles_command.split()) is None
    assert CliRunner().invoke(app, [*roles_command.split()[3:], "--help"]).exit_code == 0


def test_no_role_is_without_a_password() -> None:
    text = path_of(ROLES).read_text()
    for missing in PASSWORDS:
        with pytest.raises(KeyError, match=missing):
            filled(text, {key: value for key, value in PASSWORDS.items() if key != missing})
        assert f"#   {missing}=" in text


def test_each_gpu_has_a_worker_of_its_own() -> None:
    combined = project(GPUS)
    devices = {}
    for name in ("worker-gpu", "worker-gpu-1"):
        (device,) = combined[name]["deploy"]["resources"]["reservations"]["devices"]
        assert "count" not in device, "compose refuses a count beside ids"
        devices[name] = device["device_ids"]
        assert combined[name]["command"] == services()["worker-gpu"]["command"]
    assert devices == {"worker-gpu": ["0"], "worker-gpu-1": ["1"]}
    extended = yaml.load(path_of(GPUS).read_text(), Loader)["services"]["worker-gpu-1"]["extends"]["file"]
    assert COMPOSE.parent / extended == COMPOSE, "paths are relative to the first file"
