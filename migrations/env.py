"""Runs migrations online, one process at a time, without waiting long for locks held by the running service."""

from __future__ import annotations

import psycopg
from alembic import context
from sqlalchemy import create_engine, pool, text

from admin import roles
from common.models import Row
from common.settings import load_settings

# An arbitrary number: the advisory lock that lets one migration run at a time.
MIGRATION_LOCK = 0x7061_7262


def run() -> None:
    """Upgrade or downgrade in one transaction per migration."""
    url = load_settings().direct_url
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, target_session_attrs="read-write"),  # a libpq URL, so several hosts work
        poolclass=pool.NullPool,
    )
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text("SET lock_timeout = '5s'"))
        connection.commit()
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
            roles.renew(connection)
            connection.commit()
    engine.dispose()


run()
