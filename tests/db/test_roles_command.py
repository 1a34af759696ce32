"""`python -m admin roles`, run by owners of all kinds: how the roles are created and checked."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import errors, sql
from typer.testing import CliRunner, Result

from admin import roles
from admin.cli import app
from admin.roles import API, LIGHT, WORKER
from common.db import Database
from dev.postgres import Postgres, start_postgres
from dev.stack import REPOSITORY, alembic
from tests.db.role_cases import ALL, state
from tests.roles import as_role

OWNER = "theirs"


@dataclass(frozen=True)
class Elsewhere:
    """A server without our roles, and a database whose owner is no superuser."""

    server: Postgres
    logs: Path
    monkeypatch: pytest.MonkeyPatch

    @property
    def url(self) -> str:
        return as_role(self.by_superuser, OWNER)

    @property
    def by_superuser(self) -> str:
        return self.server.url("theirs")

    def execute(self, statement: str) -> None:
        """A statement of the server's superuser."""
        with psycopg.connect(self.by_superuser, autocommit=True) as connection:
            connection.execute(statement)

    def run(self, url: str = "", **passwords: str) -> Result:
        """`python -m admin roles`, by default as the owner."""
        with self.monkeypatch.context() as patch:
            for name, value in ({"PARAQUEUE_DATABASE_URL": url or self.url} | passwords).items():
                patch.setenv(name, value)
            return CliRunner().invoke(app, ["roles"], input="typed\n" * 6)


@pytest.fixture(scope="module")
def elsewhere_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Postgres, Path]]:
    """The server, with a migrated database to copy."""
    place = tmp_path_factory.mktemp("elsewhere")
    server = start_postgres(place / "postgres", place / "logs", "of-the-owner", durable=False)
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE PASSWORD 'of-the-owner'")
            connection.execute(f"CREATE DATABASE migrated OWNER {OWNER}")
        alembic(["upgrade", "head"], as_role(server.url("migrated"), OWNER), place / "logs", REPOSITORY)
        yield server, place / "logs"
    finally:
        server.child.stop(seconds=5)


@pytest.fixture
def elsewhere(elsewhere_server: tuple[Postgres, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Elsewhere]:
    """The server with a database of the test's own; the roles go with it."""
    server, logs = elsewhere_server
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE theirs TEMPLATE migrated OWNER {OWNER}")
        try:
            yield Elsewhere(server, logs, monkeypatch)
        finally:
            connection.execute("DROP DATABASE theirs WITH (FORCE)")
            for role in ALL:
                connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
            connection.execute(f"ALTER ROLE {OWNER} CREATEROLE")
            connection.execute(f"ALTER ROLE {OWNER} RESET ALL")


PASSWORDS = {variable: f"secret-of-{role}" for role, variable in roles.ROLES.items()}


def logs_in(elsewhere: Elsewhere, role: str, password: str) -> bool:
    try:
        psycopg.connect(elsewhere.by_superuser, user=role, password=password).close()
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error)
        return False
    return True


def test_an_owner_without_superuser_rights_creates_them_and_changes_a_password(elsewhere: Elsewhere) -> None:
    elsewhere.execute(f"ALTER ROLE {OWNER} SET log_statement = 'all'")
    made = elsewhere.run(**PASSWORDS)
    assert (made.exit_code, made.stderr) == (0, "")
    assert made.stdout.splitlines() == [f"{role}  created" for role in ALL]
    for role in ALL:
        assert logs_in(elsewhere, role, f"secret-of-{role}")
        assert not logs_in(elsewhere, role, "another")
        with psycopg.connect(elsewhere.url, user=role, password=f"secret-of-{role}") as connection:
            connection.execute("SELECT FROM jobs")
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute("DROP TABLE jobs")
    before = state(elsewhere.by_superuser)
    assert elsewhere.run(**PASSWORDS).stdout.splitlines() == [f"{role}  unchanged" for role in ALL]
    assert state(elsewhere.by_superuser) == before
    changed = elsewhere.run(**PASSWORDS | {roles.ROLES[LIGHT]: "a-new-secret"})
    assert changed.stdout.splitlines() == [f"{API}  unchanged", f"{WORKER}  unchanged", f"{LIGHT}  new password"]
    assert logs_in(elsewhere, LIGHT, "a-new-secret")
    assert not logs_in(elsewhere, LIGHT, f"secret-of-{LIGHT}")
    log = (elsewhere.logs / "postgres.log").read_text()
    assert f'CREATE ROLE "{API}"' in log, "the server logged the statements"
    assert not [secret for secret in (*PASSWORDS.values(), "a-new-secret") if secret in log]


def test_passwords_are_asked_for_at_a_terminal_only(elsewhere: Elsewhere) -> None:
    refused = elsewhere.run()
    assert refused.exit_code == 2
    assert refused.stderr == "paraqueue: POSTGRES_API_PASSWORD is not set, and there is no terminal to ask at\n"
    ours, theirs = pty.openpty()
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "admin", "roles"],
            cwd=REPOSITORY,
            env=dict(os.environ) | {"PARAQUEUE_DATABASE_URL": elsewhere.url, roles.ROLES[API]: "given"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        seen = b""
        for question in (WORKER, WORKER, LIGHT, LIGHT):
            before = seen.count(b": ")
            while seen.count(b": ") == before:
                seen += os.read(ours, 4096)
            os.write(ours, f"typed-for-{question}\n".encode())
        assert child.wait(120) == 0
    finally:
        os.close(theirs)
        os.close(ours)
    assert b"typed" not in seen
    assert logs_in(elsewhere, API, "given")
    assert logs_in(elsewhere, WORKER, f"typed-for-{WORKER}")


def test_it_does_not_wait_for_a_migration(elsewhere: Elsewhere) -> None:
    with psycopg.connect(elsewhere.url) as migration:
        migration.execute("SELECT pg_advisory_lock(%s)", [roles.MIGRATION_LOCK])
        refused = elsewhere.run(**PASSWORDS)
    assert (refused.exit_code, refused.stderr) == (
        1,
        "paraqueue: a migration or another `admin roles` is running; run this again when it has ended\n",
    )
    assert elsewhere.run(**PASSWORDS).exit_code == 0


def test_two_at_once_give_the_roles_one_of_the_passwords(elsewhere: Elsewhere) -> None:
    def another(role: str) -> str:
        """While one asks for passwords, another one is faster."""
        if role == API:
            assert elsewhere.run(**PASSWORDS).exit_code == 0
        return f"typed-for-{role}"

    database = Database(elsewhere.url, 2)
    done = roles.set_up(database, {}, another)
    database.close()
    assert done == roles.SetUp(dict.fromkeys(ALL, "new password"), ())
    assert all(logs_in(elsewhere, role, f"typed-for-{role}") for role in ALL)


def test_only_the_owner_grants(elsewhere: Elsewhere) -> None:
    assert elsewhere.run(**PASSWORDS).exit_code == 0
    elsewhere.execute("CREATE ROLE stranger LOGIN CREATEROLE PASSWORD 'of-the-owner'")
    try:
        for user, password in (("stranger", "of-the-owner"), (API, f"secret-of-{API}")):
            url = elsewhere.url.replace(f"://{OWNER}:of-the-owner@", f"://{user}:{password}@")
            refused = elsewhere.run(url)
            message = f"paraqueue: the tables belong to {OWNER}; connect as that role, not as {user}\n"
            assert (refused.exit_code, refused.stderr) == (1, message)
    finally:
        elsewhere.execute("DROP ROLE stranger")


def test_an_owner_that_may_not_create_roles_is_told(elsewhere: Elsewhere) -> None:
    elsewhere.execute(f"ALTER ROLE {OWNER} NOCREATEROLE")
    refused = elsewhere.run(**PASSWORDS)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("paraqueue: permission denied to create role; roles are created by a superuser")
    for role in ALL:
        elsewhere.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'by-an-administrator'")
    assert elsewhere.run().stdout.splitlines() == [f"{role}  unchanged" for role in ALL]
    assert logs_in(elsewhere, WORKER, "by-an-administrator")


@pytest.mark.parametrize(
    ("give", "take"),
    [
        (f"ALTER ROLE {WORKER} CREATEDB", f"ALTER ROLE {WORKER} NOCREATEDB"),
        (f"GRANT {OWNER} TO {WORKER}", f"REVOKE {OWNER} FROM {WORKER}"),
        (f"CREATE TABLE its (id int); ALTER TABLE its OWNER TO {WORKER}", "DROP TABLE its"),
        (
            f"CREATE ROLE makers; GRANT makers TO {WORKER}; GRANT CREATE ON SCHEMA public TO makers",
            "DROP OWNED BY makers; DROP ROLE makers",
        ),
    ],
)
def test_a_role_with_other_rights_is_refused_and_nothing_changes(elsewhere: Elsewhere, give: str, take: str) -> None:
    assert elsewhere.run(elsewhere.by_superuser, **PASSWORDS).exit_code == 0
    elsewhere.execute(give)
    elsewhere.execute(f"REVOKE ALL ON jobs FROM {API}")
    before = state(elsewhere.by_superuser)
    refused = elsewhere.run(elsewhere.by_superuser, **PASSWORDS | {roles.ROLES[LIGHT]: "a-new-secret"})
    assert refused.exit_code == 1
    assert refused.stderr.startswith(f"paraqueue: {WORKER} can do more than roles.sql allows")
    assert state(elsewhere.by_superuser) == before
    elsewhere.execute(take)
    assert elsewhere.run(elsewhere.by_superuser, **PASSWORDS).exit_code == 0


def test_a_database_that_is_not_migrated_is_refused(elsewhere: Elsewhere) -> None:
    elsewhere.execute("DROP TABLE ended_sessions")
    refused = elsewhere.run(**PASSWORDS)
    assert (refused.exit_code, refused.stderr) == (
        1,
        'paraqueue: relation "ended_sessions" does not exist; run python -m alembic upgrade head first\n',
    )
    with psycopg.connect(elsewhere.server.url("postgres")) as connection:
        assert connection.execute("SELECT FROM pg_roles WHERE rolname = ANY (%s)", [list(ALL)]).fetchall() == []
    empty = as_role(elsewhere.server.url("postgres"), OWNER)
    refused = elsewhere.run(empty, **PASSWORDS)
    assert refused.stderr == "paraqueue: the database has no tables yet; run python -m alembic upgrade head first\n"
