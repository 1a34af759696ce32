"""The database: one engine a process, short transactions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

from sqlalchemy import Engine, QueuePool, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError, TimeoutError
from sqlalchemy.orm import Session, sessionmaker

from common.errors import Unavailable
from common.telemetry.metrics import DATABASE_ERRORS, POOL_IN_USE, POOL_SIZE, POOL_TIMEOUTS

CONNECT_TIMEOUT_SECONDS = 5
# A statement that takes longer is a defect or a lock that somebody holds; both are better said than waited for.
STATEMENT_TIMEOUT_MS = 30_000

AFTER_COMMIT = "after_commit"


def after_commit(session: Session, call: Callable[[], None]) -> None:
    """Have something done when, and only if, the session's transaction was committed: it must not fail."""
    session.info.setdefault(AFTER_COMMIT, []).append(call)


class Database:
    """A pool of connections to one PostgreSQL. Thread-safe; make one per process."""

    def __init__(self, sqlalchemy_url: str, pool_size: int) -> None:
        self.engine: Engine = create_engine(
            sqlalchemy_url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=CONNECT_TIMEOUT_SECONDS,
            pool_pre_ping=True,
            hide_parameters=True,  # links with their signatures would stand in a logged traceback
            connect_args={
                "connect_timeout": CONNECT_TIMEOUT_SECONDS,
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
                "application_name": "paraqueue",
            },
        )
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session that commits at the end and rolls back on an exception.

        Raises Unavailable where the server does not answer; nothing was committed then
        unless the connection broke during the commit itself.
        """
        try:
            with self._sessions.begin() as session:
                yield session
        except OperationalError as error:
            DATABASE_ERRORS.inc()
            raise Unavailable("the database does not respond") from error
        except TimeoutError as error:
            POOL_TIMEOUTS.inc()
            raise Unavailable("all connections to the database are busy") from error
        except DBAPIError as error:
            if error.connection_invalidated:
                DATABASE_ERRORS.inc()
                raise Unavailable("the connection to the database was lost") from error
            raise
        for call in session.info.get(AFTER_COMMIT, ()):
            call()

    def measure_pool(self) -> None:
        """Have the metrics of this process tell of this pool: one of them, where there are several."""
        pool = cast(QueuePool, self.engine.pool)
        POOL_SIZE.set(pool.size())
        POOL_IN_USE.set_function(pool.checkedout)

    def close(self) -> None:
        """Close the pool's idle connections."""
        self.engine.dispose()
