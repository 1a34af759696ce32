"""The client as users install it: its wheel, from a folder of wheels, without an index, in a fresh environment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.e2e.recordings import ffmpeg
from tests.e2e.service import Service, fresh_service
from tests.servers import ADMIN_KEY

SAMPLE = REPOSITORY / "samples" / "meeting.mp3"
# What the services are made of has no place in a client.
HEAVY = ("torch", "fastapi", "sqlalchemy", "celery", "numpy", "imageio_ffmpeg", "api", "worker", "common", "admin")
COMMANDS = "submit transcribe status wait get watch list cancel retry delete models usage keys config"
pytestmark = pytest.mark.timeout(900)


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    values = {"capture_output": True, "text": True, "timeout": 600, "check": False} | options
    return subprocess.run([str(word) for word in command], **values)  # type: ignore[call-overload, no-any-return]


@pytest.fixture(scope="session")
def wheelhouse(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client's wheel, and those of its dependencies in the pinned versions, which are fetched once."""
    assert pytestconfig.cache is not None
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, source)
    shutil.copytree(REPOSITORY / "paraqueue", source / "paraqueue", ignore=shutil.ignore_patterns("__pycache__"))
    house = tmp_path_factory.mktemp("wheelhouse")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--wheel-dir"]
    made = run(*pip, house, "--no-deps", "--no-build-isolation", source)
    assert made.returncode == 0, made.stderr
    lock = REPOSITORY / "requirements" / "api.lock"
    wanted = re.findall(
        r'^    "([^"]+)",$',
        (REPOSITORY / "pyproject.toml")
        .read_text()
        .partition("]\n\n[project.scripts]")[0]
        .rpartition("dependencies = [")[2],
        re.MULTILINE,
    )
    mark = hashlib.sha256(lock.read_bytes() + repr(wanted).encode()).hexdigest()[:16]
    kept = pytestconfig.cache.mkdir("wheelhouse") / mark
    if not (kept / "complete").exists():
        got = run(*pip, kept, "--constraint", lock, *wanted)
        assert got.returncode == 0, got.stderr
        (kept / "complete").touch()
    for wheel in kept.glob("*.whl"):
        shutil.copy(wheel, house)
    return house


@pytest.fixture(scope="session")
def installed(wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of a fresh environment with the client in it, and nothing else of ours."""
    place = tmp_path_factory.mktemp("environment")
    venv.create(place, with_pip=False)
    pip = [sys.executable, "-m", "pip", "--python", place / "bin" / "python", "--quiet", "--disable-pip-version-check"]
    ran = run(*pip, "install", "--no-index", "--find-links", wheelhouse, "paraqueue")
    assert ran.returncode == 0, ran.stderr
    return place / "bin"


@pytest.fixture(scope="module")
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with fresh_service(postgres, tmp_path_factory.mktemp("install")) as service:
        yield service


def environment(place: Path, **changes: str) -> dict[str, str]:
    """A user's, without a trace of the checkout."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PARAQUEUE"))}
    return kept | {"HOME": str(place), "XDG_CONFIG_HOME": str(place), "XDG_STATE_HOME": str(place)} | changes


def test_it_is_small_and_brings_nothing_of_the_service(installed: Path, tmp_path: Path) -> None:
    code = "import json, sys, importlib.util as u, paraqueue.cli.app; "
    code += f"print(json.dumps([name for name in {HEAVY} if name in sys.modules or u.find_spec(name)]))"
    ran = run(installed / "python", "-c", code, cwd=tmp_path, env=environment(tmp_path))
    assert (ran.returncode, json.loads(ran.stdout or "null")) == (0, []), ran.stderr
    size = sum(path.stat().st_size for path in installed.parent.rglob("*") if path.is_file())
    assert size < 100 * 2**20


def test_the_command_helps_and_completes(installed: Path, tmp_path: Path) -> None:
    known = environment(tmp_path)
    helped = run(installed / "paraqueue", "--help", cwd=tmp_path, env=known)
    assert helped.returncode == 0, helped.stderr
    for command in COMMANDS.split():
        assert re.search(rf"\b{command}\b", helped.stdout), command
    version = run(installed / "paraqueue", "--version", cwd=tmp_path, env=known)
    assert re.fullmatch(r"paraqueue \d+\.\d+\.\d+\n", version.stdout)
    for shell in ("bash", "zsh", "fish"):
        asked = {"_PARAQUEUE_COMPLETE": f"complete_{shell}", "_TYPER_COMPLETE_ARGS": "paraqueue su"}
        asked |= {"COMP_WORDS": "paraqueue su", "COMP_CWORD": "1", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
        completed = run(installed / "paraqueue", cwd=tmp_path, env=known | asked)
        assert "submit" in completed.stdout, (shell, completed.stderr)
        assert "usage" not in completed.stdout


def test_without_the_engine_local_says_what_is_missing(installed: Path, tmp_path: Path) -> None:
    ran = run(installed / "paraqueue", "transcribe", SAMPLE, "--local", cwd=tmp_path, env=environment(tmp_path))
    assert (ran.returncode, "checkout" in ran.stderr) == (2, True), ran.stderr
    here = run(installed / "paraqueue", "transcribe", SAMPLE, "--local", cwd=REPOSITORY, env=environment(tmp_path))
    assert (here.returncode, "torch" in here.stderr) == (2, True), here.stderr


def test_it_transcribes_with_a_service(installed: Path, service: Service, tmp_path: Path) -> None:
    known = environment(tmp_path, PARAQUEUE_URL=service.url, PARAQUEUE_API_KEY=ADMIN_KEY)
    program = installed / "paraqueue"
    ran = run(program, "transcribe", SAMPLE, "--format", "srt", cwd=tmp_path, env=known)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("1\n00:00:0")
    [job] = json.loads(run(program, "list", "--json", cwd=tmp_path, env=known).stdout)
    watched = run(program, "watch", job["id"], "--json", cwd=tmp_path, env=known).stdout.splitlines()
    told = json.loads(run(program, "get", job["id"], "--format", "json", cwd=tmp_path, env=known).stdout)
    assert len(watched) == len(told["sentences"]) > 10
    assert all(json.loads(line)["words"] for line in watched)
    made = json.loads(
        run(program, "keys", "create", "app", "--scope", "read", "--json", cwd=tmp_path, env=known).stdout
    )
    rotated = run(program, "keys", "rotate", made["id"], cwd=tmp_path, env=known).stdout.strip()
    assert rotated.startswith("pq_live_") and rotated != made["key"]
    reading = known | {"PARAQUEUE_API_KEY": rotated}
    assert run(program, "status", job["id"], cwd=tmp_path, env=reading).returncode == 0
    assert run(program, "delete", job["id"], cwd=tmp_path, env=reading).returncode == 3
    both = run(program, "delete", "tr_" + "0" * 32, job["id"], "--json", cwd=tmp_path, env=known)
    assert both.returncode == 5, "the first failure's"
    assert [item["error"] is None for item in json.loads(both.stdout)] == [False, True]


def test_the_examples_of_the_page_run(installed: Path, service: Service, tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (REPOSITORY / "docs" / "client.md").read_text(), re.M | re.S)
    [example] = [block for block in blocks if "client.transcribe(" in block]
    shutil.copy(SAMPLE, tmp_path / "meeting.mp3")
    ffmpeg("-i", SAMPLE, "-t", "30", tmp_path / "call.wav")
    known = environment(tmp_path, PARAQUEUE_URL=service.url, PARAQUEUE_API_KEY=ADMIN_KEY)
    ran = run(installed / "python", "-c", example, cwd=tmp_path, env=known)
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) > 5
