"""Runs migrations online, one process at a time, without waiting long for locks held by the running service."""

from __future__ import annotations

import sys
import time

import psycopg
from alembic import context
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, pool, text

from admin import roles
from common.models import Row
from common.settings import load_settings

TURN_SECONDS = 600.0
POLL_SECONDS = 0.5


def run() -> None:
    """Upgrade or downgrade in one transaction per migration. Raises CommandError if another migration takes long."""
    url = load_settings().direct_url
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, target_session_attrs="read-write"),  # a libpq URL, so several hosts work
        poolclass=pool.NullPool,
    )
    with engine.connect() as connection:
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.execute(text("SET statement_timeout = 0"))  # indexes of large tables take long to build
        connection.commit()
        _wait_for_turn(connection)
        context.configure(
            connection=connection,
            target_metadata=Row.metadata,
            compare_type=True,
            compare_server_default=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        # Only at the newest version: the grants name its tables.
        if set(context.get_context().get_current_heads()) == set(context.script.get_heads()):
            without = roles.renew(connection)
            connection.commit()
            if without:
                names = ", ".join(without)
                print(f"paraqueue: rights not renewed: {names} without any; run python -m admin roles", file=sys.stderr)
    engine.dispose()


def _wait_for_turn(connection: Connection) -> None:
    """Take the lock of migrations, which the session keeps to its end.

    A session that waits inside `pg_advisory_lock` would hold a snapshot, for which the other migration waits when it
    builds an index concurrently. So this asks again and again, in transactions of their own.
    """
    deadline = time.monotonic() + TURN_SECONDS
    while True:
        taken = connection.scalar(roles.TRY_MIGRATION_LOCK)
        connection.commit()
        if taken:
            return
        if time.monotonic() > deadline:
            raise CommandError(f"another migration has been running for {TURN_SECONDS:.0f} s; run this again later")
        time.sleep(POLL_SECONDS)


run()
