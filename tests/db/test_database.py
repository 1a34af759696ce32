"""The connection to PostgreSQL if the server is silent or read-only, or another process is frozen."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import psycopg
import pytest
from sqlalchemy import text

from common import jobs
from common.db import Database, connections
from common.errors import Unavailable
from common.settings import Settings
from tests.db.job_cases import database_of, execute


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    database = database_of(settings, 2)
    yield database
    database.close()


class Proxy:
    """Hands bytes on between clients and the server, until it hangs: it then reads nothing and closes nothing."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.flowing = threading.Event()
        self.flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def close(self) -> None:
        self.flowing.set()
        for item in [self._listener, *self._open]:
            item.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=[source, sink], daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                self.flowing.wait()
                sink.sendall(piece)
        except OSError:
            pass
        finally:
            sink.close()


@contextmanager
def proxied(url: str) -> Iterator[tuple[Proxy, str]]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    proxy = Proxy(parts.hostname, parts.port)
    try:
        yield proxy, url.replace(f":{parts.port}/", f":{proxy.port}/")
    finally:
        proxy.close()


def test_server_that_hangs_is_given_up(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.BoundedConnection, "answer_timeout_seconds", 0.5)
    with proxied(settings.postgres_url) as (proxy, url):
        database = Database(url, 1)
        with pytest.raises(Unavailable), database.transaction() as session:
            session.execute(text("SELECT 1"))
            proxy.flowing.clear()
            session.execute(text("SELECT 2"))
        proxy.flowing.set()
        with database.transaction() as session:
            assert session.scalar(text("SELECT 3")) == 3
        proxy.flowing.clear()
        with pytest.raises(Unavailable), database.transaction() as session:
            session.execute(text("SELECT 4"))
        database.close()


def test_statement_that_fails_keeps_its_connection(database: Database) -> None:
    def pid() -> int:
        with database.transaction() as session:
            return int(session.scalar(text("SELECT pg_backend_pid()")) or 0)

    before = pid()
    with pytest.raises(Unavailable), database.transaction() as session:
        session.execute(text("SET LOCAL statement_timeout = 50"))
        session.execute(text("SELECT pg_sleep(10)"))
    assert pid() == before


def test_who_is_silent_in_a_transaction_loses_its_locks(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "IDLE_TRANSACTION_TIMEOUT_MS", 300)
    frozen = Database(database.url, 1)
    holding, waited = threading.Event(), threading.Event()

    def freeze() -> None:
        with pytest.raises(Unavailable), frozen.transaction() as session:
            session.execute(text("SELECT pg_advisory_xact_lock(4711)"))
            holding.set()
            waited.wait(30)
            session.execute(text("SELECT 1"))

    thread = threading.Thread(target=freeze)
    thread.start()
    holding.wait(120)
    try:
        with database.transaction() as session:
            session.execute(text("SELECT pg_advisory_xact_lock(4711)"))  # else it ends with the lock time-out
    finally:
        waited.set()
        thread.join()
    with frozen.transaction() as session:
        assert session.scalar(text("SELECT 1")) == 1
    frozen.close()


def test_lock_that_nobody_gives_back_is_unavailable(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LOCK_TIMEOUT_MS", 100)
    other = Database(database.url, 1)
    with database.transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(4712)"))
        with pytest.raises(Unavailable), other.transaction() as waiting:
            waiting.execute(text("SELECT pg_advisory_xact_lock(4712)"))
    other.close()


def test_server_that_takes_no_writes_is_unavailable_and_found_again(database: Database) -> None:
    """As a primary that was demoted: what is connected to it has to look for the new one."""
    with database.transaction() as session:
        session.execute(text("SELECT 1"))
    name = psycopg.conninfo.conninfo_to_dict(database.url)["dbname"]
    with psycopg.connect(database.url, autocommit=True) as operator:
        operator.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        with pytest.raises(Unavailable, match="takes no writes"), database.transaction() as session:
            session.execute(text("SET TRANSACTION READ ONLY"))
            session.execute(text("DELETE FROM workers"))
        with pytest.raises(Unavailable), database.transaction() as session:
            session.execute(text("SELECT 1"))  # a new connection, and none to a server that only reads
        operator.execute("SET default_transaction_read_only = off")
        operator.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    execute(database, "DELETE FROM workers")


def test_readiness_asks_whether_writes_are_taken(database: Database) -> None:
    database.check_writable()
    with pytest.raises(Unavailable, match="takes no writes"), database.transaction() as session:
        session.execute(text("SET TRANSACTION READ ONLY"))
        session.execute(text("DELETE FROM workers"))
    database.check_writable()


def test_several_hosts_are_tried(settings: Settings) -> None:
    parts = urlsplit(settings.postgres_url)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = closed.getsockname()[1]
        address = f"{parts.hostname}:{parts.port}"
        database = Database(settings.postgres_url.replace(address, f"127.0.0.1:{dead},{address}"), 1)
        with database.transaction() as session:
            assert session.scalar(text("SELECT 1")) == 1
        database.close()


def test_full_pool_is_said_as_unavailable(settings: Settings) -> None:
    database = database_of(settings, pool_size=1)
    database.engine.pool._timeout = 0.1  # type: ignore[attr-defined]
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with database.transaction() as session:
            session.connection()
            entered.set()
            leave.wait(120)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(120)
    try:
        with pytest.raises(Unavailable):
            jobs.page(database)
    finally:
        leave.set()
        thread.join()
    assert jobs.page(database).jobs == ()
    database.close()


def test_database_that_is_away_is_said_as_unavailable() -> None:
    with pytest.raises(Unavailable):
        jobs.page(Database("postgresql+psycopg://u:p@127.0.0.1:1/x", 1))


def test_broken_connection_heals(database: Database) -> None:
    assert jobs.page(database).jobs == ()
    with database.transaction() as session:
        session.connection()
        other = Database(database.url, 1)
        execute(
            other,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        other.close()
        session.rollback()
    assert jobs.page(database).jobs == ()
