"""The processes that `bench.api` measures: PostgreSQL (durable), Valkey, the API, a worker, and the bare peer."""

from __future__ import annotations

import base64
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.load import Measured, Plan
from common import keys, tenants
from common.db import Database
from dev.postgres import start_postgres
from dev.process import Child, free_port, spawn, stop_all, wait_until
from dev.stack import REPOSITORY, alembic
from dev.valkey import start_valkey

START_SECONDS = 180.0


@dataclass(frozen=True)
class Target:
    """A process that serves HTTP."""

    child: Child
    port: int

    def cpu_seconds(self) -> float:
        """CPU time used so far by all threads."""
        fields = Path(f"/proc/{self.child.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def loaded(self, requests: list[str], rate: float, *, connections: int, seconds: float) -> tuple[Measured, float]:
        """Run a plan against it in a separate process; returns the measurements and the target's CPU ms per request."""
        plan = Plan(self.port, requests, rate, connections, seconds)
        before = self.cpu_seconds()
        ended = subprocess.run(
            [sys.executable, "-m", "bench.load"],
            input=json.dumps(asdict(plan)),
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        measured = Measured(**json.loads(ended.stdout))
        return measured, 1000 * (self.cpu_seconds() - before) / max(1, measured.answered)


@dataclass(frozen=True)
class Service:
    """The running API and its dependencies. `headers` carry the API key."""

    place: Path
    environment: dict[str, str]
    database_url: str
    api: Target
    bare: Target
    children: list[Child]
    headers: dict[str, str]

    def client(self) -> httpx.Client:
        """An HTTP client with the API key."""
        base_url = f"http://127.0.0.1:{self.api.port}"
        return httpx.Client(base_url=base_url, headers=self.headers, timeout=60, trust_env=False)

    def worker(self) -> Child:
        """Start a worker and wait until it accepts jobs."""
        child = _started(self.place, self.environment, "worker", "worker.transcription")
        self.children.append(child)
        wait_until(lambda: "worker_ready" in child.log.read_text(), [child], START_SECONDS, "no worker was ready")
        return child

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a query and return its rows."""
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(statement.encode()).fetchall()


@contextmanager
def running(place: Path) -> Iterator[Service]:
    """Run the whole stack on loopback and clean up afterwards."""
    logs = place / "logs"
    servers: list[Child] = []
    children: list[Child] = []
    try:
        valkey = start_valkey(place / "valkey", logs, secrets.token_urlsafe(12))
        servers.append(valkey.child)
        postgres = start_postgres(place / "postgres", logs, secrets.token_urlsafe(12))
        servers.append(postgres.child)
        alembic(["upgrade", "head"], postgres.url(), logs, REPOSITORY)
        environment = _environment(place, postgres.url(), valkey.url())
        targets = {}
        for name, module in {"api": "api.main", "bare": "bench.bare_api"}.items():
            port = free_port()
            child = _started(place, environment | {"PARAQUEUE_PORT": str(port)}, name, module)
            children.append(child)
            wait_until(lambda at=port: _answers(at), [child], START_SECONDS, f"{name} did not answer")  # type: ignore[misc]
            targets[name] = Target(child, port)
        headers = _key(postgres.url())
        yield Service(place, environment, postgres.url(), targets["api"], targets["bare"], children, headers)
    finally:
        stop_all(children, 20)
        stop_all(servers, 20)


def _environment(place: Path, database_url: str, redis_url: str) -> dict[str, str]:
    ours = {
        "PARAQUEUE_DATABASE_URL": database_url,
        "PARAQUEUE_REDIS_URL": redis_url,
        "PARAQUEUE_STORAGE_URL": f"file:{place / 'storage'}",
        "PARAQUEUE_SCRATCH_DIR": str(place / "scratch"),
        "PARAQUEUE_MODEL": "demo-zh",
        "PARAQUEUE_MODEL_SOURCE": "local",
        "PARAQUEUE_MODELS_DIR": str(REPOSITORY / "models"),
        "PARAQUEUE_DEVICE": "cpu",
        "PARAQUEUE_SECRET_KEY": base64.b64encode(secrets.token_bytes(32)).decode(),
        "PYTHONUNBUFFERED": "1",
    }
    return dict(os.environ) | ours


def _started(place: Path, environment: dict[str, str], name: str, module: str) -> Child:
    return spawn(name, [sys.executable, "-m", module], place / "logs" / f"{name}.log", env=environment, cwd=REPOSITORY)


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=5, trust_env=False)
    except httpx.TransportError:
        return False
    return True


def _key(database_url: str) -> dict[str, str]:
    """An API key like that of a customer's program, with limits that are counted but never reached."""
    database = Database(database_url.replace("postgresql://", "postgresql+psycopg://", 1), 1)
    try:
        limits = {"requests_per_minute": 100_000_000, "max_queued": 0, "audio_minutes_per_day": 100_000_000}
        tenants.set_limits(database, "bench", dict(limits))
        _, secret = keys.create(database, keys.NewKey("bench", tenant="bench"))
    finally:
        database.close()
    return {"Authorization": f"Bearer {secret}"}
