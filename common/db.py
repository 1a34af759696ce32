"""The database: one engine a process, short transactions, and an end to every wait.

Either side may stop answering without its connections breaking: a process that is frozen in the middle of a
transaction, a server behind a proxy that hangs, a host without power. So both sides count: the server ends a session
that holds its transaction open without a word, and the client gives up a connection that brings no answer. What a
demoted server answers (it takes no writes) is treated as a connection that broke.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, ExceptionContext, QueuePool, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError
from sqlalchemy.orm import Session, sessionmaker

from common.errors import Unavailable
from common.telemetry.metrics import DATABASE_ERRORS, POOL_IN_USE, POOL_SIZE, POOL_TIMEOUTS

T = TypeVar("T")
DRIVER = "postgresql+psycopg://"
CONNECT_TIMEOUT_SECONDS = 5
# A process has more threads than connections: under load they take turns, each for milliseconds. Waiting for a turn is
# better than refusing a call; only a pool whose connections are all held for long makes somebody give up.
POOL_TIMEOUT_SECONDS = 15
# A statement that takes longer is a defect or a lock that somebody holds; both are better said than waited for.
STATEMENT_TIMEOUT_MS = 15_000
# No transaction of ours waits for anything but the database: who is silent inside one for so long is frozen or gone,
# and must not keep its locks.
IDLE_TRANSACTION_TIMEOUT_MS = 8_000
# Longer than a frozen holder keeps its locks, so that whoever waits for them gets them.
LOCK_TIMEOUT_MS = 12_000
# The client's own limit, for a server that does not keep its: it is frozen, or a proxy before it is.
ANSWER_TIMEOUT_SECONDS = 18.0
# A peer whose host is gone is noticed after 5 + 3 x 3 s of silence, or 10 s after something was sent to it.
KEEPALIVE = {"idle": 5, "interval": 3, "count": 3}
TCP_USER_TIMEOUT_MS = 10_000
# The server takes no writes: a standby, a demoted primary, or one that is shutting down or starting.
TAKES_NO_WRITES = {"25006", "57P01", "57P02", "57P03"}
# The server ended the session because it was silent within a transaction (or the transaction took too long).
ENDED_SESSIONS = {"25P03", "25P04"}

AFTER_COMMIT = "after_commit"


def connection_parameters() -> dict[str, Any]:
    """What libpq is told besides the address: how long either side waits for the other, and to find the primary."""
    return {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives": 1,
        **{f"keepalives_{name}": value for name, value in KEEPALIVE.items()},
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        "target_session_attrs": "read-write",
    }


def server_settings() -> dict[str, str | int]:
    """The settings of PostgreSQL that a session of ours runs with."""
    return {
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_TIMEOUT_MS,
        **{f"tcp_keepalives_{name}": value for name, value in KEEPALIVE.items()},
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        "timezone": "UTC",
    }


class BoundedConnection(psycopg.Connection[Any]):
    """A connection on which every wait for the server ends after some time, and the connection with it."""

    answer_timeout_seconds = ANSWER_TIMEOUT_SECONDS

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """As psycopg's, which would wait for ever. Raises OperationalError."""
        try:
            return super().wait(gen, interval, timeout if timeout is not None else self.answer_timeout_seconds)
        except psycopg.OperationalError:
            # Still in the middle of a statement: nobody knows what the server will make of it. That of a broken
            # connection is UNKNOWN, that of a statement which failed INERROR or IDLE.
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Have something done when, and only if, the session's transaction was committed: it must not fail."""
    session.info.setdefault(AFTER_COMMIT, []).append(call)


class Database:
    """A pool of connections to one PostgreSQL. Thread-safe; make one per process."""

    def __init__(self, url: str, pool_size: int) -> None:
        """`url` is one that libpq takes, also with several hosts, or the same with SQLAlchemy's name of the driver."""
        self.url = url.replace(DRIVER, "postgresql://", 1)
        self._options = str(conninfo_to_dict(self.url).get("options", ""))
        self.engine: Engine = create_engine(
            DRIVER,
            creator=self._connect,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            pool_pre_ping=True,
            hide_parameters=True,  # links with their signatures would stand in a logged traceback
        )
        event.listen(self.engine, "handle_error", _note_lost_server)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    def _connect(self) -> psycopg.Connection[Any]:
        ours = [f"-c {name}={value}" for name, value in server_settings().items()]
        return BoundedConnection.connect(
            self.url,
            **connection_parameters(),
            options=" ".join([*ours, self._options]),  # the later ones win
            application_name="paraqueue",
        )

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end and rolls back on an exception.

        Raises Unavailable where the server does not answer, or takes no writes; nothing was committed then
        unless the connection broke during the commit itself.
        """
        try:
            with self._sessions.begin() as session:
                yield session
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
        for call in session.info.get(AFTER_COMMIT, ()):
            call()

    def check_writable(self) -> None:
        """Raises Unavailable where the server is away, or takes no writes."""
        with self.transaction() as session:
            # Not a question whether it would be allowed: the real error also makes the pool leave this server.
            session.execute(text("DELETE FROM workers WHERE false"))

    def measure_pool(self) -> None:
        """Have the metrics of this process tell of this pool: one of them, where there are several."""
        pool = cast(QueuePool, self.engine.pool)
        POOL_SIZE.set(pool.size())
        POOL_IN_USE.set_function(pool.checkedout)

    def close(self) -> None:
        """Close the pool's idle connections."""
        self.engine.dispose()


def _sqlstate(error: BaseException | None) -> str | None:
    return error.sqlstate if isinstance(error, psycopg.Error) else None


def _note_lost_server(context: ExceptionContext) -> None:
    """Treat a server that takes no writes as one that is gone: no connection of the pool leads to a primary any more.

    They are all opened anew, which looks for the primary again.
    """
    state = _sqlstate(context.original_exception)
    if state in TAKES_NO_WRITES or state in ENDED_SESSIONS:
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = state in TAKES_NO_WRITES


def _why(error: DBAPIError, otherwise: str) -> str:
    return "the database takes no writes" if _sqlstate(error.orig) == "25006" else otherwise
