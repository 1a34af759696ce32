"""What `python -m dev` says and returns when it cannot start: one line on stderr, no traceback."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from dev.process import free_port
from dev.stack import REPOSITORY, Options, Stack, _passwords, is_current


def run_dev(data: Path, *arguments: str, before: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the stack's command line to its end; `before` is shell that runs in a mount namespace of its own."""
    command = [sys.executable, "-m", "dev", "--no-demo", "--once", "--data", str(data), *arguments]
    if before:
        command = ["unshare", "--mount", "sh", "-ec", f'{before}; exec "$@"', "sh", *command]
    environment = dict(os.environ) | variables
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def assert_one_line(ended: subprocess.CompletedProcess[str], pattern: str) -> None:
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert re.fullmatch(f"paraqueue: {pattern}\n", ended.stderr), ended.stderr


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_dev(tmp_path / "data", f"--port={port}")
    assert_one_line(ended, f"port {port} on 127.0.0.1 is taken by another program; choose another one: .*--port.*")


def test_a_data_directory_in_use_is_one_line_and_is_free_after_a_kill(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from dev.stack import _lock\n"
    code += "_lock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, tmp_path / "lock"], stdout=subprocess.PIPE, cwd=REPOSITORY)
    assert holder.stdout is not None
    holder.stdout.readline()
    ended = run_dev(tmp_path, f"--port={free_port()}")
    holder.kill()
    holder.communicate()
    assert_one_line(ended, rf"{tmp_path} is in use by another start of Paraqueue \(process {holder.pid}\); .*")
    with (tmp_path / "lock").open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_missing_model_is_one_line_and_starts_nothing(tmp_path: Path) -> None:
    ended = run_dev(tmp_path, f"--port={free_port()}", PARAQUEUE_MODELS_DIR=str(tmp_path / "none"))
    assert_one_line(ended, rf"the model demo-zh is missing: there is no directory {tmp_path}/none/demo-zh")
    assert not (tmp_path / "postgres").exists()


def test_a_missing_sample_is_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "dev", "--data", str(tmp_path), "--audio", "/nowhere/a.wav"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    assert_one_line(ended, "there is no audio file /nowhere/a.wav")


def test_a_file_in_place_of_the_data_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    assert_one_line(run_dev(tmp_path / "data", f"--port={free_port()}"), f"File exists: {tmp_path}/data")


def test_lost_passwords_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    ended = run_dev(tmp_path, f"--port={free_port()}")
    assert_one_line(ended, rf"{tmp_path}/secrets\.json is missing, and with it the password of the database .*")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_missing_right_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    ended = run_dev(tmp_path / "data", f"--port={free_port()}")
    assert_one_line(ended, f"Permission denied: {tmp_path}/data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=8m none {tmp_path}"
    if shutil.which("unshare") is None or _fails(["unshare", "--mount", "sh", "-ec", mount]):
        pytest.skip("no right to mount a small disk here")
    ended = run_dev(tmp_path, f"--port={free_port()}", before=mount)
    assert_one_line(ended, rf"the disk that holds {tmp_path} has \d MiB left; at least 300 are needed")
    ended = run_dev(tmp_path, f"--port={free_port()}", before=f"{mount}; head -c 8M /dev/zero > {tmp_path}/f || true")
    assert_one_line(ended, r".*(No space left on device|has 0 MiB left).*")


def test_passwords_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = _passwords(tmp_path)
    assert _passwords(tmp_path) == first
    assert len(set(first.values())) == len(first)
    assert min(len(password) for password in first.values()) >= 32
    assert [path.name for path in tmp_path.iterdir()] == ["secrets.json"]
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_directory_of_an_earlier_version_keeps_its_passwords_and_gets_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "secrets.json").write_text('{"postgres": "kept", "valkey": "kept too"}')
    now = _passwords(tmp_path)
    assert (now["postgres"], now["valkey"]) == ("kept", "kept too")
    assert len(now["flower"]) >= 32


def test_a_directory_of_an_earlier_version_gets_the_secrets_it_lacks(tmp_path: Path) -> None:
    first = _passwords(tmp_path)
    (tmp_path / "secrets.json").write_text(json.dumps({name: first[name] for name in ("postgres", "valkey", "flower")}))
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    later = _passwords(tmp_path)
    assert later.keys() == first.keys()
    assert {name: later[name] for name in ("postgres", "valkey", "flower")} == {
        name: first[name] for name in ("postgres", "valkey", "flower")
    }


def test_a_taken_flower_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = run_dev(tmp_path, f"--port={free_port()}", f"--flower-port={port}")
        assert_one_line(ended, f"port {port} on 127.0.0.1 is taken, so Flower cannot listen there")


def test_a_database_is_current_only_at_the_newest_migration(database_url: str, tmp_path: Path) -> None:
    versions = REPOSITORY / "migrations" / "versions"
    assert is_current(database_url, versions)
    newer = tmp_path / "versions"
    shutil.copytree(versions, newer, ignore=shutil.ignore_patterns("__pycache__"))
    heads = ScriptDirectory(str(versions.parent)).get_heads()
    (newer / "newer.py").write_text(f'revision = "newer"\ndown_revision = "{heads[0]}"\n')
    assert not is_current(database_url, newer)
    assert not is_current(database_url.rpartition("/")[0] + "/postgres", versions)


def test_closing_a_stack_that_never_started_is_nothing(tmp_path: Path) -> None:
    Stack(Options(tmp_path)).close()


def _fails(command: list[str]) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode != 0
