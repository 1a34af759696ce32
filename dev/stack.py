"""All processes of the stack: their commands, settings, and order of start and stop."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg

from dev.postgres import start_postgres
from dev.process import (
    Child,
    StackError,
    free_port,
    port_is_free,
    spawn,
    stop_all,
    wait_for,
)
from dev.speaker_model import DEMO, with_speakers
from dev.valkey import start_valkey

REPOSITORY = Path(__file__).resolve().parent.parent
NEEDED_BYTES = 300 * 1024 * 1024
MIGRATION_SECONDS = 300.0
READY_SECONDS = 600.0
READY_WITH_DOWNLOAD_SECONDS = 6 * 3600.0
WORKER_STOP_SECONDS = 25.0
SERVER_STOP_SECONDS = 20.0
FLOWER_PORT = 5555
FLOWER_USER = "paraqueue"
WITH_METRICS_PORT = {"worker", "light-worker"}


@dataclass(frozen=True)
class Options:
    """The command-line options; a port of None means any free one."""

    data: Path
    port: int = 8000
    flower_port: int | None = None
    postgres_port: int | None = None
    valkey_port: int | None = None
    ready_seconds: float | None = None
    """The time limit for the start; None: 10 minutes, or 6 hours if the model may have to be downloaded."""


@dataclass
class Stack:
    """The processes of one data directory; `close` stops all that were started."""

    options: Options
    servers: list[Child] = field(default_factory=list)
    services: list[Child] = field(default_factory=list)
    flower_port: int = 0
    flower_password: str = ""
    metrics_ports: dict[str, int] = field(default_factory=dict)
    """Those of the processes that are no web servers, by name."""
    api_key: str = ""
    ready: bool = False
    _lock: int | None = None

    @property
    def url(self) -> str:
        """The URL of the API."""
        return f"http://127.0.0.1:{self.options.port}"

    @property
    def logs(self) -> Path:
        """The directory with one log file per process."""
        return self.options.data / "logs"

    def start(self, say: Callable[[str], None]) -> None:
        """Start everything and return when a job could run; `say` receives one line per step. Raises StackError."""
        data = self.options.data
        _make_directories(data)
        self._lock = _lock(data / "lock")
        self._choose_ports()
        _check_room(data)
        _check_model()
        passwords = _passwords(data)
        self.flower_password = passwords["flower"]
        say("starting PostgreSQL and Valkey")
        valkey = start_valkey(data / "valkey", self.logs, passwords["valkey"], self.options.valkey_port)
        self.servers.append(valkey.child)
        postgres = start_postgres(data / "postgres", self.logs, passwords["postgres"], self.options.postgres_port)
        self.servers.append(postgres.child)
        ours = {f"PARAQUEUE_{name.upper()}": passwords[name] for name in ("secret_key", "webhook_secret", "admin_key")}
        environment = ours | self._environment(postgres.url(), valkey.url())
        self.api_key = environment["PARAQUEUE_ADMIN_KEY"]
        if not is_current(postgres.url(), REPOSITORY / "migrations" / "versions"):
            say("bringing the database up to date")
            alembic(["upgrade", "head"], postgres.url(), self.logs, REPOSITORY)
        if environment["PARAQUEUE_MODELS_DIR"] == str(REPOSITORY / "models"):
            environment |= with_speakers(REPOSITORY / "models" / environment["PARAQUEUE_MODEL"], data / "models", say)
        write_settings(data, environment)
        model = environment["PARAQUEUE_MODEL"]
        say(f"starting the API and the workers; the model is {model}")
        self._start_services(["worker", "api", "light-worker"], environment)
        local = environment["PARAQUEUE_MODEL_SOURCE"] == "local"
        seconds = self.options.ready_seconds or (READY_SECONDS if local else READY_WITH_DOWNLOAD_SECONDS)
        wait_for(self._missing, [*self.servers, *self.services], seconds, lambda what: say(f"waiting: {what}"))
        self.ready = True
        # Jobs run without them for a while, and on a small machine they would slow down the loading of the model.
        self._start_services(["beat", "flower"], environment)

    def check(self) -> None:
        """Raise StackError if a process has ended unexpectedly; also limit the size of the logs."""
        for child in [*self.servers, *self.services]:
            child.check()
            child.bound_log()

    def close(self) -> None:
        """Stop the services first, then the servers they depend on; a second signal to us ends all grace periods."""
        stop_all(self.services, WORKER_STOP_SECONDS)
        stop_all(self.servers, SERVER_STOP_SECONDS)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _choose_ports(self) -> None:
        if not port_is_free(self.options.port):
            raise StackError(
                f"port {self.options.port} on 127.0.0.1 is taken by another program; "
                'choose another one: make run ARGS="--port 8100"'
            )
        wanted = self.options.flower_port
        if wanted is not None and not port_is_free(wanted):
            raise StackError(f"port {wanted} on 127.0.0.1 is taken, so Flower cannot listen there")
        self.flower_port = wanted or (FLOWER_PORT if port_is_free(FLOWER_PORT) else free_port())

    def _environment(self, database_url: str, redis_url: str) -> dict[str, str]:
        """Return the service's settings: ours for what this stack provides, the caller's for everything else."""
        data = self.options.data
        provided = {
            "PARAQUEUE_DATABASE_URL": database_url,
            "PARAQUEUE_REDIS_URL": redis_url,
            "PARAQUEUE_STORAGE_URL": f"file:{data / 'storage'}",
            "PARAQUEUE_SCRATCH_DIR": str(data / "scratch"),
            "PARAQUEUE_HOST": "127.0.0.1",
            "PARAQUEUE_PORT": str(self.options.port),
            # Not as arguments: every user of the machine can read those.
            "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{self.flower_password}",
        }
        return {"PYTHONUNBUFFERED": "1"} | _model() | dict(os.environ) | provided

    def _start_services(self, names: list[str], environment: dict[str, str]) -> None:
        celery = ["celery", "-A", "common.queue"]
        schedule = str(self.options.data / "beat" / "schedule")
        commands = {
            "worker": ["worker.transcription"],
            "api": ["api.main"],
            "light-worker": ["worker.light"],
            "beat": [*celery, "beat", "--schedule", schedule],
            "flower": ["celery", "-A", "common.flower", "flower", "--address=127.0.0.1", f"--port={self.flower_port}"],
        }
        for name in names:
            command = [sys.executable, "-m", *commands[name]]
            log = self.logs / f"{name}.log"
            own = environment | self._metrics(name)
            self.services.append(spawn(name, command, log, env=own, cwd=REPOSITORY))

    def _metrics(self, name: str) -> dict[str, str]:
        """Choose a metrics port for a process without a port of its own: two cannot share the caller's port."""
        if name not in WITH_METRICS_PORT:
            return {}
        self.metrics_ports[name] = free_port()
        return {"PARAQUEUE_METRICS_PORT": str(self.metrics_ports[name])}

    def _missing(self) -> str:
        """What is not ready yet; empty if a job could run."""
        try:
            # verify=False: otherwise each call would load all certificates, for an address that needs none.
            answer = httpx.get(f"{self.url}/health/ready", timeout=5, verify=False, trust_env=False)
        except httpx.TransportError:
            return f"the API does not answer yet ({self.logs / 'api.log'})"
        health = answer.json()
        failing = [name for name, state in health.get("checks", {}).items() if state != "ok"]
        if answer.status_code != 200:
            return f"the API is not ready: {', '.join(failing) or answer.status_code} ({self.logs / 'api.log'})"
        if health.get("workers", 0) == 0:
            return f"the worker has not loaded its model yet ({self.logs / 'worker.log'})"
        return ""


def write_settings(data: Path, environment: dict[str, str]) -> None:
    """Write the service's settings for `python -m dev.operate`; they contain secrets, so only their owner can read."""
    settings = {name: value for name, value in environment.items() if name.startswith("PARAQUEUE_")}
    _write_private(data / "settings.json", settings)


def alembic(arguments: list[str], database_url: str, logs: Path, cwd: Path) -> None:
    """Run one alembic command against that database; raise StackError, with its last lines, if it fails."""
    command = [sys.executable, "-m", "alembic", *arguments]
    environment = dict(os.environ) | {"PARAQUEUE_DATABASE_URL": database_url}
    name = f"alembic {arguments[0]}"
    spawn(name, command, logs / "migrations.log", env=environment, cwd=cwd).wait(MIGRATION_SECONDS)


def is_current(database_url: str, versions: Path) -> bool:
    """Return whether the database is at the newest of the migrations in `versions`.

    This reads the files instead of importing alembic, which would add a second to every start.
    """
    texts = [path.read_text() for path in versions.glob("*.py")]
    named = {name for text in texts for name in re.findall(r'^revision\b.*= "(\w+)"', text, re.MULTILINE)}
    followed = {name for text in texts for name in re.findall(r'^down_revision\b.*= "(\w+)"', text, re.MULTILINE)}
    with psycopg.connect(database_url) as connection:
        try:
            rows = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        except psycopg.errors.UndefinedTable:
            return False
    return {row[0] for row in rows} == named - followed != set()


def _make_directories(data: Path) -> None:
    data.mkdir(parents=True, exist_ok=True, mode=0o711)  # PostgreSQL runs as another user if we are root
    for name in ("logs", "storage", "scratch", "beat", "valkey"):
        (data / name).mkdir(exist_ok=True, mode=0o700)


def _lock(path: Path) -> int:
    """Lock the data directory for this process; the kernel releases the lock when the process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode().strip()
        os.close(descriptor)
        raise StackError(
            f"{path.parent} is in use by another start of Paraqueue (process {holder}); "
            "stop it, or choose another directory with --data"
        ) from None
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor


def _model() -> dict[str, str]:
    """Return the settings of the model: the bundled one, unless the caller's environment names another."""
    defaults = {
        "PARAQUEUE_MODEL": DEMO,
        "PARAQUEUE_MODEL_SOURCE": "modelscope" if "PARAQUEUE_MODEL" in os.environ else "local",
        "PARAQUEUE_MODELS_DIR": str(REPOSITORY / "models"),
    }
    return {name: os.environ.get(name, default) for name, default in defaults.items()}


def _check_model() -> None:
    """Raise StackError if the model is missing, before anything is started; the worker reports problems inside it."""
    model = _model()
    bundle = Path(model["PARAQUEUE_MODELS_DIR"]) / model["PARAQUEUE_MODEL"]
    if model["PARAQUEUE_MODEL_SOURCE"] == "local" and not bundle.is_dir():
        raise StackError(f"the model {bundle.name} is missing: there is no directory {bundle}")


def _check_room(data: Path) -> None:
    free = shutil.disk_usage(data).free
    if free < NEEDED_BYTES:
        raise StackError(
            f"the disk that holds {data} has {free // 2**20} MiB left; at least {NEEDED_BYTES // 2**20} are needed"
        )


def _passwords(data: Path) -> dict[str, str]:
    """Return server passwords, webhook secrets and the first API key: created once, readable only by their owner."""
    path = data / "secrets.json"
    stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if not stored and (data / "postgres" / "data").exists():
        raise StackError(f"{path} is missing, and with it the password of the database beside it")
    made = {name: secrets.token_urlsafe(24) for name in ("postgres", "valkey", "flower")}
    made["secret_key"] = base64.b64encode(secrets.token_bytes(32)).decode()
    made["admin_key"] = "pq_live_" + secrets.token_urlsafe(32)
    made["webhook_secret"] = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    kept = made | stored  # a directory of an earlier version lacks some of them
    if kept == stored:
        return kept
    _write_private(path, kept)
    return kept


def _write_private(path: Path, content: dict[str, str]) -> None:
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with open(fresh, "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(content, file)
    fresh.rename(path)
