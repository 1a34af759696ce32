"""`admin doctor` as a command: its lines, its exit status, what it loads."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from admin import doctor
from dev.stack import REPOSITORY
from tests.deploy.test_admin_doctor import AWAY, run


def test_servers_that_say_nothing_do_not_hang_it(environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        changed = environment | {
            "PARAQUEUE_DATABASE_URL": f"postgresql://x@{place}/x",
            "PARAQUEUE_REDIS_URL": f"redis://{place}/0",
            "PARAQUEUE_STORAGE_URL": "s3://bucket",
            "PARAQUEUE_S3_ENDPOINT_URL": f"http://{place}",
            "PARAQUEUE_S3_ACCESS_KEY_ID": "x",
            "PARAQUEUE_S3_SECRET_ACCESS_KEY": "x",
            "PARAQUEUE_PORT": str(silent.getsockname()[1]),
        }
        # All checks run at once. The decoder's takes seconds on a busy machine, and must end within the same time.
        ran = run(changed, "--timeout", "20", "--json")
    results = {item["name"]: item for item in json.loads(ran.stdout)}
    assert ran.returncode == 1
    assert list(results) == doctor.names()
    for name in (*AWAY, "api"):
        assert results[name]["level"] == "fail", name
    assert results["decoder"]["level"] == "ok", "the others are still checked"
    assert ran.stderr == ""


def test_a_line_for_each_and_the_exit_status(environment: dict[str, str]) -> None:
    ran = run(environment, "--only", "database", "--only", "redis")
    assert ran.returncode == 0, ran.stdout
    lines = ran.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", "database"], ["ok", "redis"]]
    failed = run(environment, "--only", "light")
    assert (failed.returncode, failed.stdout.split()[:2]) == (1, ["fail", "light"])
    assert "→ start python -m worker.light" in failed.stdout
    assert run(environment, "--skip", "colour").returncode == 2


def test_settings_that_are_wrong_are_the_one_line(environment: dict[str, str]) -> None:
    ran = run(environment | {"PARAQUEUE_PORT": "none"})
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 1
    assert "PARAQUEUE_PORT" in ran.stdout


def test_torch_is_loaded_only_if_asked_for(environment: dict[str, str]) -> None:
    code = "import sys, admin.cli; from admin import doctor; doctor.examine(doctor.names(), timeout_seconds=20); "
    code += "sys.exit('torch' in sys.modules or 'fastapi' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], env=environment, cwd=REPOSITORY, timeout=300, check=False)
    assert ran.returncode == 0


@pytest.mark.slow
def test_torch_says_what_it_sees(environment: dict[str, str]) -> None:
    deep = run(environment, "--deep", "--only", "device", "--timeout", "100")
    assert deep.stdout.startswith("ok    device  torch 2."), deep.stdout
