"""The embedded PostgreSQL and Valkey: start, stop, kill, start again."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dev.postgres import Postgres, start_postgres
from dev.process import StackError
from dev.stack import REPOSITORY
from dev.valkey import start_valkey
from tests.waiting import until

PASSWORD = "a-password"

# A parent that is killed: it starts both servers, says their process ids, and sleeps.
PARENT = """
import os, sys, time
from pathlib import Path
from dev.postgres import start_postgres
from dev.valkey import start_valkey
import encodings.idna, secrets  # what is imported late could lie where an ordinary user cannot read
place = Path(sys.argv[1])
if len(sys.argv) > 2:
    os.setgroups([])
    os.setgid(int(sys.argv[2]))
    os.setuid(int(sys.argv[2]))
postgres = start_postgres(place / "postgres", place / "logs", "a-password", durable=False)
valkey = start_valkey(place / "valkey", place / "logs", "a-password")
print(postgres.child.process.pid, valkey.child.process.pid, flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that the tests of this file share in turn, as consecutive starts of one stack would."""
    return tmp_path_factory.mktemp("stack")


@pytest.fixture
def postgres_here(place: Path) -> Iterator[Postgres]:
    server = start_postgres(place / "postgres", place / "logs", PASSWORD, durable=False)
    yield server
    server.child.stop(seconds=10)


def test_data_survives_a_restart_and_the_files_belong_to_an_ordinary_user(place: Path) -> None:
    first = start_postgres(place / "postgres", place / "logs", PASSWORD, durable=False)
    with psycopg.connect(first.url()) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS one")
    first.child.stop(seconds=10)
    assert "database system is shut down" in (place / "logs" / "postgres.log").read_text()
    second = start_postgres(place / "postgres", place / "logs", PASSWORD, durable=False)
    try:
        with psycopg.connect(second.url()) as connection:
            assert connection.execute("SELECT one FROM kept").fetchone() == (1,)
    finally:
        second.child.stop(seconds=10)
    status = (place / "postgres" / "data").stat()
    assert status.st_uid != 0
    assert stat.S_IMODE(status.st_mode) == 0o700


def test_only_the_password_opens_it_and_only_on_loopback(postgres_here: Postgres) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(postgres_here.url().replace(PASSWORD, "wrong"))
    with psycopg.connect(postgres_here.url()) as connection:
        shown = connection.execute("SHOW listen_addresses").fetchone()
        encrypted = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'paraqueue'").fetchone()
    assert shown == ("127.0.0.1",)
    assert encrypted is not None
    assert encrypted[0].startswith("SCRAM-SHA-256$")


def test_another_password_than_the_stored_one_is_told(place: Path) -> None:
    with pytest.raises(StackError, match=r"does not take the stored password: secrets\.json"):
        start_postgres(place / "postgres", place / "logs", "another", durable=False)
    until(lambda: not _servers_of(place), what="the server that refused us goes on")


def test_servers_end_with_a_killed_parent_and_start_again(place: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, place], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
    assert parent.stdout is not None
    assert len(parent.stdout.readline().split()) == 2
    assert len(_servers_of(place)) >= 2
    parent.kill()
    # At once, while the old PostgreSQL may still be ending.
    server = start_postgres(place / "postgres", place / "logs", PASSWORD, durable=False)
    server.child.stop(seconds=10)
    parent.communicate()
    until(lambda: not _servers_of(place), what="a server was left behind")


def test_a_killed_server_recovers_though_its_pid_file_names_a_stranger(place: Path) -> None:
    server = start_postgres(place / "postgres", place / "logs", PASSWORD)
    with psycopg.connect(server.url()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS committed (n int)")
        connection.execute("INSERT INTO committed VALUES (7)")
    server.child.process.kill()
    server.child.process.wait()
    pid_file = place / "postgres" / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    stranger = subprocess.Popen(["sleep", "60"], user=pid_file.stat().st_uid)
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
    try:
        again = start_postgres(place / "postgres", place / "logs", PASSWORD)
        with psycopg.connect(again.url()) as connection:
            assert connection.execute("SELECT n FROM committed").fetchone() == (7,)
        again.child.stop(seconds=10)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    server = start_postgres(tmp_path / "postgres", tmp_path / "logs", PASSWORD, durable=False)
    server.child.stop(seconds=10)
    assert sorted(path.name for path in (tmp_path / "postgres").iterdir()) == ["data"]


def test_a_taken_port_is_told_by_its_number(tmp_path: Path, place: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} on 127.0.0.1 is taken, so PostgreSQL"):
            start_postgres(place / "postgres", place / "logs", PASSWORD, port)
        with pytest.raises(StackError, match=f"port {port} on 127.0.0.1 is taken, so Valkey"):
            start_valkey(tmp_path / "valkey", tmp_path / "logs", PASSWORD, port)


def test_valkey_wants_its_password_and_shows_it_to_nobody(tmp_path: Path) -> None:
    server = start_valkey(tmp_path / "valkey", tmp_path / "logs", PASSWORD)
    try:
        stranger = redis.Redis(port=server.port, retry=Retry(NoBackoff(), 0))
        with pytest.raises(redis.exceptions.AuthenticationError), stranger:
            stranger.ping()
        assert PASSWORD.encode() not in Path(f"/proc/{server.child.process.pid}/cmdline").read_bytes()
        with redis.Redis.from_url(server.url(), decode_responses=True) as client:
            assert client.config_get("bind") == {"bind": "127.0.0.1"}
    finally:
        server.child.stop(seconds=5)
    assert server.child.process.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="root starts this one as an ordinary user")
def test_an_ordinary_user_runs_both_servers() -> None:
    user = pwd.getpwnam("daemon")
    home = Path("/var/tmp") / f"paraqueue-{os.getpid()}"
    home.mkdir()
    os.chown(home, user.pw_uid, user.pw_gid)
    try:
        command = [sys.executable, "-c", PARENT, str(home), str(user.pw_uid)]
        parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY)
        assert parent.stdout is not None
        postgres, valkey = (int(pid) for pid in parent.stdout.readline().split())
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in (postgres, valkey)} == {user.pw_uid}
        parent.kill()
        parent.communicate()
        until(lambda: not _servers_of(home), what="a server was left behind")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _servers_of(place: Path) -> list[int]:
    """Processes that were started for a place: their working directory is inside it."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                inside = (entry / "cwd").readlink().is_relative_to(place)
            except OSError:
                continue
            if inside:
                pids.append(int(entry.name))
    return pids
