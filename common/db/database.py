"""Database access: one engine per process, and short transactions.

The errors of a demoted server, which accepts no writes, are treated as a lost connection.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Engine, ExceptionContext, QueuePool, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError, TimeoutError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry

from common.db.connections import BoundedConnection, connection_parameters, server_settings, session_of
from common.db.prepared import Prepared
from common.errors import Unavailable
from common.telemetry.metrics import DATABASE_ERRORS, POOL_IN_USE, POOL_SIZE, POOL_TIMEOUTS

T = TypeVar("T")
DRIVER = "postgresql+psycopg://"
# A process has more threads than connections: under load they take turns, each for milliseconds. Waiting for a
# connection is better than refusing a call; the timeout is reached only if all connections are held for long.
POOL_TIMEOUT_SECONDS = 15
# The server accepts no writes: a standby, a demoted primary, or one that is shutting down or starting.
TAKES_NO_WRITES = {"25006", "57P01", "57P02", "57P03"}
# The server ended the session because it was idle in a transaction, or the transaction took too long.
ENDED_SESSIONS = {"25P03", "25P04"}

# A pooled connection that was used less long ago is tested only if the server sent something, as it does at its end.
TRUSTED_SECONDS = 1.0

AFTER_COMMIT = "after_commit"
USED_AT = "used_at"
NEW = "new"


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Call `call` if and only if the session's transaction is committed; `call` must not fail."""
    session.info.setdefault(AFTER_COMMIT, []).append(call)


class Database:
    """A pool of connections to one PostgreSQL. Thread-safe; create one per process."""

    def __init__(self, url: str, pool_size: int) -> None:
        """Create the pool; `url` is a libpq URL (several hosts allowed), with or without SQLAlchemy's driver name."""
        self.url = url.replace(DRIVER, "postgresql://", 1)
        self._options = str(conninfo_to_dict(self.url).get("options", ""))
        self.engine: Engine = create_engine(
            DRIVER,
            creator=self._connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            hide_parameters=True,  # links with signatures would appear in logged tracebacks
        )
        event.listen(self.engine, "handle_error", _note_lost_server)
        event.listen(self.engine, "connect", _note_new)
        event.listen(self.engine, "checkin", _note_use)
        event.listen(self.engine, "checkout", self._test)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    def _connect(self) -> psycopg.Connection[Any]:
        ours = [f"-c {name}={value}" for name, value in server_settings().items()]
        connection = BoundedConnection.connect(
            self.url,
            **connection_parameters(),
            options=" ".join([*ours, self._options]),  # later options override earlier ones
            application_name="paraqueue",
            autocommit=True,
        )
        try:
            if session_of(connection) != connection.info.backend_pid:
                connection.prepare_threshold = None  # a pooler may run the next transaction in another session
            connection.autocommit = False
        except psycopg.Error:
            connection.close()
            raise
        return connection

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Open a session that commits at the end and rolls back on an exception.

        Raises Unavailable if the server does not respond or accepts no writes; nothing was committed then, unless the
        connection broke during the commit itself.
        """
        with _unavailable(), self._sessions.begin() as session:
            yield session
        for call in session.info.get(AFTER_COMMIT, ()):
            call()

    def run(self, statement: Prepared, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Run one statement as a transaction of its own, and return its rows.

        Raises Unavailable like `transaction`; after a connection broke, the statement may have been executed.
        """
        with _unavailable():
            try:
                with self._alone() as connection:
                    return connection.execute(statement.sql, statement.given(values)).fetchall()
            except psycopg.Error as error:
                if error.sqlstate in TAKES_NO_WRITES:
                    self.check_writable()  # so that SQLAlchemy notices too, and reopens all connections
                lost = error.sqlstate in TAKES_NO_WRITES | ENDED_SESSIONS
                raise DBAPIError.instance(
                    *(statement.sql, None, error, psycopg.Error),
                    hide_parameters=True,
                    connection_invalidated=lost,
                    dialect=self.engine.dialect,
                ) from error

    @contextmanager
    def _alone(self) -> Iterator[psycopg.Connection[Any]]:
        """Lend a connection on which each statement is a transaction of its own."""
        pooled = self.engine.raw_connection()
        connection = cast("psycopg.Connection[Any]", pooled.driver_connection)
        try:
            connection.autocommit = True
            yield connection
            connection.autocommit = False
        except BaseException as error:
            pooled.invalidate(error)  # errors are rare, and what state it is in is not always known
            raise
        finally:
            pooled.close()

    def _test(self, connection: psycopg.Connection[Any], entry: ConnectionPoolEntry, _: object) -> None:
        """Test a pooled connection before it is used: the server may have ended it, and a newer one would work.

        A new one is not tested: if it fails too, the pool would raise an error that says nothing of the server.
        """
        if entry.info.pop(NEW, False):
            return
        used_ago = time.monotonic() - entry.info[USED_AT]
        if used_ago < TRUSTED_SECONDS and not _readable(connection):
            return
        try:
            self.engine.dialect.do_ping(cast(Any, connection))
        except psycopg.Error as error:
            raise InvalidatePoolError from error

    def check_writable(self) -> None:
        """Raise Unavailable if the server is unreachable or accepts no writes."""
        with self.transaction() as session:
            # A real write rather than a permission check: its error also makes the pool drop this server.
            session.execute(text("DELETE FROM workers WHERE false"))

    def measure_pool(self) -> None:
        """Report this pool in the metrics of the process; if there are several pools, only one can be reported."""
        pool = cast(QueuePool, self.engine.pool)
        POOL_SIZE.set(pool.size())
        POOL_IN_USE.set_function(pool.checkedout)

    def close(self) -> None:
        """Close the pool's idle connections."""
        self.engine.dispose()


@contextmanager
def _unavailable() -> Iterator[None]:
    """Raise Unavailable instead of SQLAlchemy's errors of a server that does not respond or accepts no writes."""
    try:
        yield
    except OperationalError as error:
        DATABASE_ERRORS.inc()
        raise Unavailable(_why(error, "the database does not respond")) from error
    except TimeoutError as error:
        POOL_TIMEOUTS.inc()
        raise Unavailable("all connections to the database are busy") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            DATABASE_ERRORS.inc()
            raise Unavailable(_why(error, "the connection to the database was lost")) from error
        raise


def _note_new(_: object, entry: ConnectionPoolEntry) -> None:
    entry.info[NEW] = True


def _note_use(_: object, entry: ConnectionPoolEntry) -> None:
    entry.info[USED_AT] = time.monotonic()


def _readable(connection: psycopg.Connection[Any]) -> bool:
    """Return whether something arrived on an idle connection; usually that the server has ended it."""
    try:
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN | select.POLLPRI)
        return bool(poll.poll(0))
    except (OSError, psycopg.Error):  # closed on this side
        return True


def _sqlstate(error: BaseException | None) -> str | None:
    return error.sqlstate if isinstance(error, psycopg.Error) else None


def _note_lost_server(context: ExceptionContext) -> None:
    """Treat a server that accepts no writes as lost: no pooled connection leads to a primary any more.

    All connections are reopened, which searches for the primary again.
    """
    state = _sqlstate(context.original_exception)
    if state in TAKES_NO_WRITES or state in ENDED_SESSIONS:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = state in TAKES_NO_WRITES


def _why(error: DBAPIError, otherwise: str) -> str:
    return "the database takes no writes" if _sqlstate(error.orig) == "25006" else otherwise
