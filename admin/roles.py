"""Database roles for the API, the workers and the light workers, each with only the rights that its code needs.

`migrations/roles.sql` lists the rights. The owner of the schema stays the one that migrates and calls this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors, sql
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from common.db import Database, connection_parameters
from common.errors import ConfigurationError, Unavailable, WrongState

GRANTS = Path(__file__).resolve().parent.parent / "migrations" / "roles.sql"
API, WORKER, LIGHT = "paraqueue_api", "paraqueue_worker", "paraqueue_light"
# The environment variables with their passwords.
ROLES = {API: "POSTGRES_API_PASSWORD", WORKER: "POSTGRES_WORKER_PASSWORD", LIGHT: "POSTGRES_LIGHT_PASSWORD"}
# An arbitrary number: the advisory lock of migrations and grants, which change the same tables, one at a time.
MIGRATION_LOCK = 0x7061_7262
TRY_MIGRATION_LOCK = text(f"SELECT pg_try_advisory_lock({MIGRATION_LOCK})")
TRY_GRANT_LOCK = text(f"SELECT pg_try_advisory_xact_lock({MIGRATION_LOCK})")
HERE = "(SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
EXISTING = text("SELECT rolname FROM pg_roles WHERE rolname = ANY (:roles)")
OWNER = text(
    "SELECT relowner::regrole::text, pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass('jobs')"
)
GRANTED = text("""
SELECT rolname FROM pg_roles WHERE rolname = ANY (:roles) AND has_table_privilege(oid, to_regclass('jobs'), 'SELECT')
""")
# Rights that do not come from the grants, and that no grant can take away.
TOO_POWERFUL = text(f"""
SELECT rolname FROM pg_roles WHERE rolname = ANY (:roles) AND (
    rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
    OR has_schema_privilege(oid, {HERE}, 'CREATE')
    OR EXISTS (SELECT FROM pg_class WHERE relnamespace = {HERE} AND pg_has_role(pg_roles.oid, relowner, 'MEMBER'))
) ORDER BY rolname
""")
UNLISTED = text(f"""
SELECT relname FROM pg_class
WHERE relnamespace = {HERE} AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT EXISTS (
    SELECT FROM pg_roles WHERE rolname = ANY (:roles) AND (
        has_table_privilege(oid, pg_class.oid, 'SELECT, INSERT, UPDATE, DELETE')
        OR has_any_column_privilege(oid, pg_class.oid, 'SELECT, INSERT, UPDATE')
    )
) ORDER BY relname
""")
NAMES = {"roles": list(ROLES)}


@dataclass(frozen=True, slots=True)
class SetUp:
    """What became of each role (`created`, `new password` or `unchanged`), and the tables that none of them can use."""

    roles: Mapping[str, str]
    unlisted: tuple[str, ...]


def set_up(database: Database, given: Mapping[str, str], ask: Callable[[str], str]) -> SetUp:
    """Create the roles that do not exist yet, set changed passwords and renew all rights, in one transaction.

    `given` holds passwords by role; a role without one keeps its password or, if it does not exist yet, gets the answer
    of `ask`. Raises WrongState unless the connection's role owns the tables, or if one of the roles has other rights;
    Unavailable while a migration or another call runs.
    """
    if not GRANTS.exists():
        raise ConfigurationError(f"{GRANTS.name} is not here; run this command in the API's image or in a checkout")
    with database.transaction() as session:
        _check_owner(session)
        existing = set(session.scalars(EXISTING, NAMES))
    wanted = {role: given.get(role) or ask(role) for role in ROLES if role not in existing}
    wanted |= {role: given[role] for role in existing if given.get(role) and not _logs_in(database, role, given[role])}
    with _explained(), database.transaction() as session:
        if not session.scalar(TRY_GRANT_LOCK):
            raise Unavailable("a migration or another `admin roles` is running; run this again when it has ended")
        existing = set(session.scalars(EXISTING, NAMES))  # another call may have created roles meanwhile
        for role, password in wanted.items():
            _write(session, role, password, new=role not in existing)
        session.connection().exec_driver_sql(GRANTS.read_text("utf-8"))
        _check_roles(session)
        unlisted = tuple(session.scalars(UNLISTED, NAMES))
    changes = {role: "created" if role not in existing else "new password" for role in wanted}
    return SetUp({role: changes.get(role, "unchanged") for role in ROLES}, unlisted)


def renew(connection: Connection) -> tuple[str, ...]:
    """Renew the rights within the caller's transaction if `set_up` has been used in this database; for migrations.

    Where only some of the roles have rights, nothing is renewed; returns the others.
    """
    owner = connection.execute(OWNER).one_or_none()
    if owner is None or not owner[1]:
        return ()
    granted = set(connection.scalars(GRANTED, NAMES))
    if granted == set(ROLES):
        connection.exec_driver_sql(GRANTS.read_text("utf-8"))
    return tuple(role for role in ROLES if role not in granted) if granted else ()


def _check_owner(session: Session) -> None:
    owner = session.execute(OWNER).one_or_none()
    if owner is None:
        raise WrongState("the database has no tables yet; run python -m alembic upgrade head first")
    user = session.scalar(text("SELECT current_user"))
    if user in ROLES or not owner[1]:
        raise WrongState(f"the tables belong to {owner[0]}; connect as that role, not as {user}")


def _check_roles(session: Session) -> None:
    powerful = ", ".join(session.scalars(TOO_POWERFUL, NAMES))
    if powerful:
        raise WrongState(
            f"{powerful} can do more than {GRANTS.name} allows: by an attribute such as SUPERUSER, as owner of a table "
            "or member of the owner, or because it may create objects in the schema; take that away first"
        )


def _logs_in(database: Database, role: str, password: str) -> bool:
    """Return whether the role has this password, so that a repeated call does not have to change it."""
    try:
        with psycopg.connect(database.url, **connection_parameters(), user=role, password=password) as connection:
            return connection.pgconn.used_password  # otherwise the server asks for none, and would accept any
    except psycopg.OperationalError:
        return False


def _write(session: Session, role: str, password: str, *, new: bool) -> None:
    connection: Any = session.connection().connection.driver_connection
    # Only the verifier leaves this process, so that no log of the server can show the password.
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    statement = sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(
        sql.SQL("CREATE" if new else "ALTER"), sql.Identifier(role), sql.Literal(verifier)
    )
    session.connection().exec_driver_sql(statement.as_string(connection))


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except ProgrammingError as error:
        if isinstance(error.orig, errors.UndefinedTable | errors.UndefinedColumn | errors.UndefinedFunction):
            raise WrongState(f"{error.orig.diag.message_primary}; run python -m alembic upgrade head first") from None
        if isinstance(error.orig, errors.InsufficientPrivilege):
            hint = "roles are created by a superuser or by a role with CREATEROLE"
            raise WrongState(f"{error.orig.diag.message_primary}; {hint}") from None
        raise
