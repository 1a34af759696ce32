"""Connections to PostgreSQL, with a time limit on every wait.

Either side may stop responding without its connections breaking: a process frozen in the middle of a transaction, a
server behind a hung proxy, a host without power. So both sides use timeouts: the server ends a session that stays idle
in a transaction, and the client drops a connection that returns no response.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

T = TypeVar("T")
CONNECT_TIMEOUT_SECONDS = 5
# A slower statement is a bug or is waiting for a lock; in both cases an error is better than waiting longer.
STATEMENT_TIMEOUT_MS = 15_000
# Our transactions wait only for the database: a session that stays idle in one for this long is frozen or gone, and
# must not keep its locks.
IDLE_TRANSACTION_TIMEOUT_MS = 8_000
# Longer than a frozen session can keep its locks, so that sessions waiting for them get them.
LOCK_TIMEOUT_MS = 12_000
# The client's own limit, for when the server cannot enforce its limits: the server, or a proxy in front of it, is
# frozen.
ANSWER_TIMEOUT_SECONDS = 18.0
# An unreachable host is detected after 5 + 3 x 3 s of silence, or 10 s after data was sent to it.
KEEPALIVE = {"idle": 5, "interval": 3, "count": 3}
TCP_USER_TIMEOUT_MS = 10_000
SHARING_TRIES = 5


def connection_parameters() -> dict[str, Any]:
    """Return the libpq parameters besides the address: timeouts of both sides, and the search for the primary."""
    return {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives": 1,
        **{f"keepalives_{name}": value for name, value in KEEPALIVE.items()},
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        "target_session_attrs": "read-write",
    }


def server_settings() -> dict[str, str | int]:
    """Return the PostgreSQL settings that each session runs with."""
    return {
        "statement_timeout": STATEMENT_TIMEOUT_MS,
        "lock_timeout": LOCK_TIMEOUT_MS,
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_TIMEOUT_MS,
        **{f"tcp_keepalives_{name}": value for name, value in KEEPALIVE.items()},
        "tcp_user_timeout": TCP_USER_TIMEOUT_MS,
        "timezone": "UTC",
    }


class BoundedConnection(psycopg.Connection[Any]):
    """A connection with a time limit on every wait for the server; when it is exceeded, the connection is closed."""

    answer_timeout_seconds = ANSWER_TIMEOUT_SECONDS

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait like psycopg's method, which would wait forever. Raises OperationalError."""
        try:
            return super().wait(gen, interval, timeout if timeout is not None else self.answer_timeout_seconds)
        except psycopg.OperationalError:
            # Still in the middle of a statement, whose outcome is unknown. A broken connection has the status UNKNOWN;
            # after a failed statement the status is INERROR or IDLE.
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.close()
            raise


def session_of(connection: psycopg.Connection[Any]) -> int:
    """Return the process id of the server's session that runs this statement.

    PgBouncer tells its clients other ids (`connection.info.backend_pid`).
    """
    row = connection.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])


def shares_sessions(url: str) -> bool:
    """Return whether a pooler serves several connections from one session, like PgBouncer in transaction mode.

    Raises psycopg.Error if the server does not respond.
    """
    with (
        BoundedConnection.connect(url, **connection_parameters(), autocommit=True) as first,
        BoundedConnection.connect(url, **connection_parameters(), autocommit=True) as second,
    ):
        own = session_of(first)
        # The first connection is still open: an idle pooler serves the second one from the same session, a busy one
        # serves the first one from another session by the next time.
        return any(session_of(second) == own or session_of(first) != own for _ in range(SHARING_TRIES))
