"""The installation under test: PostgreSQL (durable), Valkey, the API, a worker, the light worker, and beat."""

from __future__ import annotations

import base64
import os
import secrets
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from bench.usage import family_cpu_seconds
from common import keys
from common.db import Database
from dev.postgres import start_postgres
from dev.process import Child, free_port, spawn, stop_all, wait_until
from dev.stack import REPOSITORY, alembic
from dev.valkey import start_valkey

START_SECONDS = 180.0
SETTLE_SECONDS = 30.0
QUIET_SECONDS = 1.5
CELERY = ["celery", "-A", "common.queue"]
DELETE_LIVE = "DELETE FROM jobs WHERE tenant = %s AND priority <> 0"
SEED = """
WITH job AS (
    INSERT INTO jobs (id, status, model, channels, source_kind, source_url, tenant, priority)
    VALUES (gen_random_uuid(), 'completed', 'demo-zh', 'mix', 'https', 'https://example.com/', %(tenant)s, 0)
    RETURNING id
), said AS (
    INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words, tenant)
    SELECT job.id, 1, n, 0, n * 1000, n * 1000 + 900, 1, '好的我们再看一下这个项目的预算' || n, '[]', %(tenant)s
    FROM job, generate_series(0, %(sentences)s - 1) n
)
SELECT id FROM job
"""


@dataclass(frozen=True)
class Installation:
    """The running processes by name."""

    port: int
    database_url: str
    children: dict[str, Child]
    environment: dict[str, str]
    logs: Path

    def new_key(self, tenant: str) -> str:
        """Create a key with the default limits for a tenant and return its secret."""
        database = Database(self.database_url.replace("postgresql://", "postgresql+psycopg://", 1), 1)
        try:
            return keys.create(database, keys.NewKey("bench", tenant=tenant))[1]
        finally:
            database.close()

    def seed(self, tenant: str, sentences: int) -> str:
        """Give a tenant a finished transcript of so many sentences; returns the job's public id."""
        with psycopg.connect(self.database_url) as connection:
            row = connection.execute(SEED, {"tenant": tenant, "sentences": sentences}).fetchone()
        assert row is not None
        return f"tr_{row[0].hex}"

    def clear(self, tenant: str) -> None:
        """Delete all jobs of a tenant but the seeded one, also those that calls still create, until no more come."""
        deadline = time.monotonic() + SETTLE_SECONDS
        quiet_since = time.monotonic()
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            while time.monotonic() < min(deadline, quiet_since + QUIET_SECONDS):
                if connection.execute(DELETE_LIVE, [tenant]).rowcount:
                    quiet_since = time.monotonic()
                time.sleep(0.1)

    def cpu_seconds(self) -> dict[str, float]:
        """Processor time used so far, by process; child processes count with the one that started them."""
        return {name: family_cpu_seconds(child.process.pid) for name, child in self.children.items()}


@contextmanager
def running(place: Path, *, without: Collection[str] = ()) -> Iterator[Installation]:
    """Run everything on loopback, with the default limits, and stop it afterwards.

    `without` names processes that the caller starts, in `environment`.
    """
    logs = place / "logs"
    servers: dict[str, Child] = {}
    children: dict[str, Child] = {}
    try:
        valkey = start_valkey(place / "valkey", logs, secrets.token_urlsafe(12))
        servers["Valkey"] = valkey.child
        postgres = start_postgres(place / "postgres", logs, secrets.token_urlsafe(12))
        servers["PostgreSQL"] = postgres.child
        alembic(["upgrade", "head"], postgres.url(), logs, REPOSITORY)
        port = free_port()
        environment = _environment(place, postgres.url(), valkey.url(), port)
        beat = [*CELERY, "beat", "--schedule", str(place / "schedule")]
        commands = {"API": ["api.main"], "worker": ["worker.transcription"], "light worker": ["worker.light"]}
        for name, command in (commands | {"beat": beat}).items():
            if name in without:
                continue
            log = logs / f"{name.replace(' ', '-')}.log"
            children[name] = spawn(name, [sys.executable, "-m", *command], log, env=environment, cwd=REPOSITORY)
        workers = int("worker" not in without)
        wait_until(lambda: _ready(port, workers), [*children.values()], START_SECONDS, "the installation was not ready")
        yield Installation(port, postgres.url(), servers | children, environment, logs)
    finally:
        stop_all([*children.values()], 20)
        stop_all([*servers.values()], 20)


def _environment(place: Path, database_url: str, redis_url: str, port: int) -> dict[str, str]:
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("PARAQUEUE_")}
    return theirs | {
        "PARAQUEUE_DATABASE_URL": database_url,
        "PARAQUEUE_REDIS_URL": redis_url,
        "PARAQUEUE_STORAGE_URL": f"file:{place / 'storage'}",
        "PARAQUEUE_SCRATCH_DIR": str(place / "scratch"),
        "PARAQUEUE_PORT": str(port),
        "PARAQUEUE_MODEL": "demo-zh",
        "PARAQUEUE_MODEL_SOURCE": "local",
        "PARAQUEUE_MODELS_DIR": str(REPOSITORY / "models"),
        "PARAQUEUE_DEVICE": "cpu",
        "PARAQUEUE_WEBHOOK_SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "PARAQUEUE_FETCH_ALLOWED_PRIVATE": "127.0.0.1",  # where the servers of the misbehaving tenant are
        "PYTHONUNBUFFERED": "1",
    }


def _ready(port: int, least_workers: int) -> bool:
    try:
        answer = httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=5, trust_env=False)
    except httpx.TransportError:
        return False
    health: dict[str, Any] = answer.json()
    return answer.status_code == 200 and health.get("workers", 0) >= least_workers
