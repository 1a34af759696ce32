"""The whole service on servers of its own, every part of which can be killed, stopped and started again."""

from __future__ import annotations

import ctypes
import os
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from pydantic import SecretStr

from common.queue import LIGHT_QUEUE, make_app
from common.settings import Settings
from common.storage import s3_client
from dev.postgres import Postgres, start_postgres
from dev.process import Child, free_port, spawn, wait_until
from dev.stack import REPOSITORY, alembic
from dev.valkey import start_valkey
from tests.conftest import variables
from tests.db.webhook_cases import OWN_SECRET
from tests.e2e.service import READY_SECONDS, SHORT_LEASES, SHORT_TIMES, Service
from tests.faults.receiver import Receiver, running_receiver
from tests.servers import ADMIN_KEY, StoppedS3, prepared_s3
from tests.standby import start_standby

WORKERS = ("worker-1", "worker-2")
OTHERS = ("api", "light", "beat")
DISK_BYTES = 192 * 1024 * 1024
MNT_DETACH = 2
GONE_SECONDS = 120.0
CLOCK = Path(__file__).parent / "clock"
# What is short beside SHORT_TIMES and SHORT_LEASES. Audio goes early, so that a long soak does not fill its disk.
TIMES = {
    "webhook_timeout_seconds": 2.0,
    "webhook_retry_base_seconds": 0.5,
    "webhook_retry_hours": 0.02,
    "audio_retention_hours": 0.02,
}


@dataclass
class Stack(Service):
    """Some GPU workers, the API, a light worker and beat, with PostgreSQL, Valkey and storage of their own.

    `storage` is "disk", a small file system of its own where we may mount one, or "s3".
    """

    postgres: Postgres = field(kw_only=True)
    standby_port: int = field(kw_only=True)
    """The other port of the database's URL: after a fail-over the primary is there, and the next standby here."""
    receiver: Receiver = field(kw_only=True)
    storage: str = field(kw_only=True)
    store: StoppedS3 | None = field(kw_only=True, default=None)
    store_child: Child | None = field(kw_only=True, default=None)
    small_disk: Path | None = field(kw_only=True, default=None)
    workers: tuple[str, ...] = field(kw_only=True, default=WORKERS)
    outage_seconds: float = field(kw_only=True, default=10.0)
    sessions: set[int] = field(kw_only=True, default_factory=set)
    connections: threading.local = field(kw_only=True, default_factory=threading.local)

    def start(self, name: str, *command: str, skew_seconds: float = 0.0) -> Child:
        """Start `python -m command`, with a new log each time."""
        environment = dict(os.environ) | variables(self.settings) | {"PYTHONUNBUFFERED": "1", "PARAQUEUE_AUTH": "off"}
        if skew_seconds:
            environment |= {"PYTHONPATH": str(CLOCK), "FAULTS_CLOCK_SKEW_SECONDS": str(skew_seconds)}
        log = self.logs / f"{name}.{sum(1 for _ in self.logs.glob(f'{name}.*')) + 1}.log"
        child = spawn(name, [sys.executable, "-m", *command], log, env=environment, cwd=REPOSITORY)
        self.children[name] = child
        self.sessions.add(child.process.pid)
        return child

    @property
    def names(self) -> tuple[str, ...]:
        """The processes that should run."""
        return (*self.workers, *OTHERS)

    @property
    def logs(self) -> Path:
        """One log for each process that ever ran."""
        return self.place / "logs"

    def launch(self, name: str, *, skew_seconds: float = 0.0) -> Child:
        """Start one of `names`, or another of the same kind: the name says which, up to its number."""
        schedule = str(self.place / "beat-schedule")
        kinds = {
            "worker": ["worker.transcription"],
            "api": ["api.main"],
            "light": ["worker.light"],
            "beat": ["celery", "-A", "common.queue", "beat", "--schedule", schedule],
        }
        return self.start(name, *kinds[name.partition("-")[0]], skew_seconds=skew_seconds)

    def start_all(self) -> None:
        """Everything; returns when jobs could run."""
        for name in self.names:
            self.launch(name)
        self.wait_ready(*self.names)

    def wait_ready(self, *names: str) -> None:
        """Until these processes do their work."""
        children = [self.children[name] for name in names]
        for child in children:
            wait_until(partial(self._is_ready, child), [child], READY_SECONDS, f"{child.name} was not ready")

    def _is_ready(self, child: Child) -> bool:
        if child.name == "api":
            return self._serves()
        if child.name.startswith("beat"):
            return child.running  # it says nothing; that it works shows in the sweeps
        message = "worker_ready" if child.name.startswith("worker") else " ready."
        return message in child.log.read_text()

    def kill(self, name: str) -> Child:
        """Send SIGKILL and wait until the process has ended."""
        child = self.children[name]
        child.process.kill()
        child.process.wait(GONE_SECONDS)
        return child

    def replace(self, name: str, *, skew_seconds: float = 0.0) -> int:
        """SIGTERM, wait for the end, start a new one; the exit code."""
        child = self.children[name]
        child.process.send_signal(signal.SIGTERM)
        code = child.process.wait(GONE_SECONDS)
        self.launch(name, skew_seconds=skew_seconds)
        return code

    def heal(self) -> None:
        """Start what an operator's supervisor would start again, and wait until all is well."""
        for name in self.names:
            if not self.children[name].running:
                self.launch(name)
        self.wait_ready(*self.names)

    def drop(self, name: str) -> None:
        """End a process that was only started for a fault."""
        self.children.pop(name).stop(GONE_SECONDS)

    def stop_postgres(self, number: signal.Signals) -> None:
        """SIGINT: it ends all connections and shuts down. SIGQUIT: it crashes and recovers at the next start."""
        self.postgres.child.process.send_signal(number)
        self.postgres.child.process.wait(GONE_SECONDS)

    def start_postgres(self) -> None:
        """Start it again where it was."""
        old = self.postgres
        self.postgres = start_postgres(self._directory_of(old.port), self.logs, old.password, old.port)

    def start_standby(self) -> Postgres:
        """A copy of the present primary that follows it; after a promotion, set `postgres` to it."""
        port = self.standby_port
        self.standby_port = self.postgres.port
        return start_standby(self.postgres, self._directory_of(port), self.logs, port)

    def _directory_of(self, port: int) -> Path:
        return self.place / f"postgres-{port}"

    def stop_valkey(self) -> None:
        """SIGKILL: it keeps nothing on disk anyway."""
        self.valkey.child.process.kill()
        self.valkey.child.process.wait(GONE_SECONDS)

    def start_valkey(self) -> None:
        """Start it again where it was, empty."""
        self.valkey = start_valkey(self.place / "valkey", self.logs, self.valkey.password, self.valkey.port)

    def stop_store(self) -> None:
        """SIGKILL the S3 server."""
        assert self.store_child is not None
        self.store_child.process.kill()
        self.store_child.process.wait(GONE_SECONDS)

    def start_store(self) -> None:
        """Start it again where it was."""
        assert self.store is not None
        self.store_child = self.store.start()

    def send_task(self, name: str, count: int = 1) -> None:
        """Ask the light worker for something, as beat does."""
        queue = make_app(self.settings)
        for _ in range(count):
            queue.send_task(name, queue=LIGHT_QUEUE)
        queue.close()

    def query(self, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """Query the database directly.

        Each thread keeps its connection: the load asks many times a second, and a new one costs 10 ms of processor
        time on both sides. A kept one may have been cut, or lead to a server that is no longer the primary: then the
        query is repeated on a new one.
        """
        kept: psycopg.Connection | None = getattr(self.connections, "kept", None)
        if kept is not None:
            with suppress(psycopg.OperationalError):
                if kept.execute("SHOW transaction_read_only").fetchone() == ("off",):
                    return kept.execute(statement, values).fetchall()
            kept.close()
        self.connections.kept = kept = psycopg.connect(
            self.settings.postgres_url, connect_timeout=5, target_session_attrs="read-write", autocommit=True
        )
        return kept.execute(statement, values).fetchall()

    def query_when_possible(self, statement: LiteralString, *values: Any) -> list[tuple[Any, ...]]:
        """The same, when the database may just be coming back."""
        deadline = time.monotonic() + GONE_SECONDS
        while True:
            try:
                return self.query(statement, *values)
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


@contextmanager
def running_stack(
    place: Path, storage: str, *, outage_seconds: float, workers: tuple[str, ...] = WORKERS
) -> Iterator[Stack]:
    """Everything on servers of its own; nothing of it is left afterwards."""
    with ExitStack() as kept:
        receiver = kept.enter_context(running_receiver(place / "www"))
        ports = [free_port(), free_port()]
        postgres = start_postgres(place / f"postgres-{ports[0]}", place / "logs", secrets.token_urlsafe(12), ports[0])
        valkey = start_valkey(place / "valkey", place / "logs", secrets.token_urlsafe(12))
        small = kept.enter_context(small_disk(place / "disk")) if storage == "disk" else None
        disk = small or place / "disk"
        alembic(["upgrade", "head"], postgres.url(), place / "logs", REPOSITORY)
        store, store_child, where = None, None, {"storage_url": f"file:{disk / 'storage'}"}
        if storage == "s3":
            store = prepared_s3(place / "s3")
            store_child = store.start()
            where = _bucket(store)
        values: dict[str, Any] = {
            "admin_key": ADMIN_KEY,
            "database_url": _either(postgres, ports),
            "redis_url": valkey.url(),
            "scratch_dir": disk / "scratch",
            "models_dir": REPOSITORY / "models",
            "model": "demo-zh",
            "model_source": "local",
            "device": "cpu",
            "torch_threads": 1,
            "port": free_port(),
            "fetch_allowed_private": ("127.0.0.1",),
            "webhook_secret": OWN_SECRET,
        }
        stack = Stack(
            Settings(**(values | where | SHORT_TIMES | SHORT_LEASES | TIMES)),
            place,
            valkey,
            postgres=postgres,
            standby_port=ports[1],
            receiver=receiver,
            storage=storage,
            store=store,
            store_child=store_child,
            small_disk=small,
            workers=workers,
            outage_seconds=outage_seconds,
        )
        try:
            stack.start_all()
            yield stack
        finally:
            stack.stop()
            for child in (stack.store_child, stack.valkey.child, stack.postgres.child):
                if child is not None:
                    child.stop(10)


def _either(postgres: Postgres, ports: list[int]) -> str:
    """The URL of whichever of two servers is the primary."""
    both = ",".join(f"127.0.0.1:{port}" for port in ports)
    return postgres.url().replace(f"127.0.0.1:{postgres.port}", both)


def _bucket(store: StoppedS3) -> dict[str, Any]:
    """A new bucket, and the settings that lead there."""
    where = store.where
    client = s3_client(
        endpoint_url=where.endpoint_url,
        region=where.region,
        access_key_id=where.access_key_id,
        secret_access_key=where.secret_access_key,
        addressing_style="path",
        checksums="when_supported",
    )
    client.create_bucket(Bucket="faults")
    return {
        "storage_url": "s3://faults/audio",
        "s3_endpoint_url": where.endpoint_url,
        "s3_access_key_id": where.access_key_id,
        "s3_secret_access_key": SecretStr(where.secret_access_key),
    }


@contextmanager
def small_disk(place: Path) -> Iterator[Path | None]:
    """A file system of its own in memory, so that it can be filled; None where we may not mount one.

    It is taken from `place` again at once and lives on by our open directory alone: so it goes with this process,
    also when that is killed. Everybody reaches it by way of that directory.
    """
    place.mkdir(parents=True)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"size={DISK_BYTES},mode=700".encode()
    if libc.mount(b"paraqueue-faults", str(place).encode(), b"tmpfs", 0, options) != 0:
        yield None
        return
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if libc.umount2(str(place).encode(), MNT_DETACH) != 0:
            raise OSError(ctypes.get_errno(), f"cannot unmount {place}")
        yield Path(f"/proc/{os.getpid()}/fd/{descriptor}")
    finally:
        os.close(descriptor)
