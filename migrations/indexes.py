"""Indexes of tables that are in use, which may have millions of rows."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

# PostgreSQL waits for the end of every transaction that changes the table, and for those that hold an old snapshot.
LOCK_TIMEOUT = "10min"
INVALID = text("SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid")
LOCK_TIMEOUT_NOW = text("SELECT current_setting('lock_timeout')")
SET_LOCK_TIMEOUT = text("SELECT set_config('lock_timeout', :value, false)")


def build(name: str, definition: str) -> None:
    """Create the index `name` as `definition` says (`jobs (model, id) WHERE …`), while others write to the table.

    This commits what the migration has done so far, which must therefore suit being done again: an interrupted
    migration is repeated from its beginning. An index that is there is left alone, the invalid rest of an interrupted
    build is replaced.
    """
    with op.get_context().autocommit_block():
        connection = op.get_bind()
        before = connection.scalar(LOCK_TIMEOUT_NOW)
        connection.execute(SET_LOCK_TIMEOUT, {"value": LOCK_TIMEOUT})
        if connection.scalar(INVALID, {"name": name}):
            connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY {name}")
        connection.exec_driver_sql(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {definition}")
        connection.execute(SET_LOCK_TIMEOUT, {"value": before})
