"""The override files of compose: they fit its schema, and what they make of docker-compose.yml runs."""

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

from common.settings import Settings, load_settings
from tests.deploy.images import COMPOSE, VARIABLE, filled, ours, path_of, services
from tests.deploy.test_compose import GIVEN

EXTERNAL = "deploy/compose.external.yml"
GPUS = "deploy/compose.gpus.yml"
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


for _tag in ("!override", "!reset"):
    Loader.add_constructor(_tag, lambda loader, node: Replaced(_value(loader, node)))
    Plain.add_constructor(_tag, _value)


def merged(first: Any, second: Any) -> Any:
    """Compose's rules: mappings are merged, lists are joined, other values are replaced."""
    if isinstance(second, Replaced):
        return second.value
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {key: merged(first.get(key), value) for key, value in second.items()}
    if isinstance(first, list) and isinstance(second, list):
        return first + [item for item in second if item not in first]
    return second


def project(file: str) -> dict[str, dict[str, Any]]:
    """The services that compose sees with this override."""
    found = copy.deepcopy(services())
    for name, service in yaml.load(path_of(file).read_text(), Loader)["services"].items():
        base = service.pop("extends", None)
        found[name] = merged(found[base["service"] if base else name], service)
    return found


@pytest.mark.parametrize("file", [EXTERNAL, GPUS])
def test_fits_the_schema_of_compose(file: str, tmp_path: Path) -> None:
    plain = tmp_path / "compose.json"
    plain.write_text(json.dumps(yaml.load(path_of(file).read_text(), Plain)))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(plain)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_own_servers_replace_the_bundled_ones() -> None:
    found = project(EXTERNAL)
    assert {name for name in BUNDLED if found[name].get("profiles")} == BUNDLED
    for name in set(found) - BUNDLED:
        assert not BUNDLED & set(found[name]["depends_on"]), name
        assert "outside" in found[name]["networks"], f"{name} cannot reach servers outside of the internal network"


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


def test_each_gpu_has_a_worker_of_its_own() -> None:
    found = project(GPUS)
    devices = {}
    for name in ("worker-gpu", "worker-gpu-1"):
        (device,) = found[name]["deploy"]["resources"]["reservations"]["devices"]
        assert "count" not in device, "compose refuses a count beside ids"
        devices[name] = device["device_ids"]
        assert found[name]["command"] == services()["worker-gpu"]["command"]
    assert devices == {"worker-gpu": ["0"], "worker-gpu-1": ["1"]}
    extended = yaml.load(path_of(GPUS).read_text(), Loader)["services"]["worker-gpu-1"]["extends"]["file"]
    assert COMPOSE.parent / extended == COMPOSE, "paths are relative to the first file"
