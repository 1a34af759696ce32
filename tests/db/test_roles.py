"""`python -m admin roles`: what the roles may do, and what they may not; how they are created, renewed and checked.

That they may do all that the code needs is shown by the other tests: see `tests/roles.py`.
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import errors, sql
from sqlalchemy.exc import ProgrammingError
from typer.testing import CliRunner, Result

from admin import roles
from admin.cli import app
from admin.roles import API, LIGHT, WORKER
from common import jobs
from common.db import Database
from common.models import Row
from dev.postgres import USER, Postgres, start_postgres
from dev.stack import REPOSITORY, alembic
from tests.db.job_cases import execute
from tests.roles import CALLED_BY, as_role
from tests.servers import fresh_database

ALL = tuple(roles.ROLES)
OWNER = "theirs"
# Everything that `admin roles` could have changed.
STATE = """
SELECT relname, NULL AS attname, relacl::text FROM pg_class WHERE relnamespace = 'public'::regnamespace
UNION ALL SELECT attrelid::regclass::text, attname, attacl::text FROM pg_attribute WHERE attacl IS NOT NULL
UNION ALL SELECT 'schema', NULL, nspacl::text FROM pg_namespace WHERE nspname = 'public'
UNION ALL SELECT 'database', NULL, datacl::text FROM pg_database WHERE datname = current_database()
UNION ALL SELECT 'function', proname, proacl::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
UNION ALL SELECT 'role', rolname, to_jsonb(pg_authid)::text FROM pg_authid WHERE rolname LIKE 'paraqueue%'
ORDER BY 1, 2
"""


@pytest.fixture(scope="module")
def url(postgres: Postgres) -> Iterator[str]:
    """A database that no test changes."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def owner(database_url: str, postgres: Postgres) -> Iterator[Database]:
    """The owner of a database of the test's own, in which the roles are set up."""
    opened = Database(database_url, 2)
    roles.set_up(opened, given(postgres), never)
    yield opened
    opened.close()


def given(postgres: Postgres) -> dict[str, str]:
    return dict.fromkeys(ALL, postgres.password)


def never(role: str) -> str:
    raise AssertionError(f"asked for the password of {role}")


def state(url: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(STATE).fetchall()


def refused(url: str, role: str, statement: str) -> None:
    with psycopg.connect(as_role(url, role)) as connection, pytest.raises(errors.InsufficientPrivilege):
        connection.execute(statement)


def allowed(url: str, role: str, statement: str) -> None:
    with psycopg.connect(as_role(url, role)) as connection:
        connection.execute(statement)
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT hash FROM api_keys",
        "SELECT previous_hash FROM api_keys",
        "SELECT * FROM api_keys",
        "SELECT secret FROM webhook_endpoints",
        "SELECT previous_secret FROM webhook_endpoints",
        "SELECT url FROM webhook_endpoints",
        "SELECT payload FROM deliveries",
        "SELECT body FROM idempotency_keys",
        "SELECT * FROM uploads",
        "SELECT * FROM ended_sessions",
        "SELECT hash FROM shares",
    ],
)
def test_a_worker_reads_no_hashes_and_no_secrets(url: str, statement: str) -> None:
    refused(url, WORKER, statement)
    allowed(url, API, statement)


@pytest.mark.parametrize("role", [WORKER, LIGHT])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO api_keys (id, tenant, name, hash, hint, scopes) SELECT gen_random_uuid(), 'a', '', '', '', '{}'",
        "UPDATE api_keys SET revoked_at = NULL",
        "UPDATE api_keys SET max_running = 0",
        "DELETE FROM api_keys",
        "SELECT FROM api_keys FOR UPDATE",
        "UPDATE tenants SET max_running = 0",
        "INSERT INTO tenants (name, max_running) VALUES ('mine', 0)",
        "DELETE FROM tenants",
        "INSERT INTO jobs (id, model, channels, source_kind) VALUES (gen_random_uuid(), 'm', 'mix', 'http')",
        "UPDATE jobs SET tenant = 'mine'",
        "UPDATE jobs SET key_id = NULL",
        "UPDATE jobs SET webhook_url = 'https://mine.example'",
        "INSERT INTO webhook_endpoints (id, url, events, secret) VALUES (gen_random_uuid(), '', '{}', '')",
        "UPDATE webhook_endpoints SET url = 'https://mine.example'",
        "DELETE FROM webhook_endpoints",
    ],
)
def test_no_worker_changes_keys_limits_or_whose_a_job_is(url: str, role: str, statement: str) -> None:
    refused(url, role, statement)


def test_a_light_worker_reads_no_hashes_and_no_transcripts(url: str) -> None:
    for statement in (
        "SELECT hash FROM api_keys",
        "SELECT text FROM sentences",
        "SELECT words FROM sentences",
        "SELECT text FROM machine_sentences",
        "SELECT text FROM edits",
        "SELECT text FROM earlier_edits",
        "SELECT state FROM parts",
        "SELECT windows FROM speaker_windows",
        "SELECT name FROM speakers",
        "SELECT body FROM idempotency_keys",
        "SELECT hash FROM shares",
    ):
        refused(url, LIGHT, statement)


def test_the_api_does_not_touch_what_only_workers_write(url: str) -> None:
    for statement in (
        "INSERT INTO workers (id, model, revision, precision, device, slots) VALUES ('w', '', '', '', '', 1)",
        "UPDATE machine_sentences SET text = ''",
        "DELETE FROM machine_sentences",
        "UPDATE sentences SET number = 1",
        "DELETE FROM usage",
        "DELETE FROM tenants",
        "DELETE FROM api_keys",
        "SELECT windows FROM speaker_windows",
    ):
        refused(url, API, statement)


@pytest.mark.parametrize("role", ALL)
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (id int)",
        "ALTER TABLE jobs ADD COLUMN mine int",
        "ALTER TABLE jobs DISABLE TRIGGER USER",
        "ALTER TABLE jobs OWNER TO CURRENT_USER",
        "DROP TABLE jobs CASCADE",
        "TRUNCATE jobs CASCADE",
        "CREATE INDEX mine ON jobs (id)",
        "DROP INDEX jobs_newest",
        "CREATE FUNCTION mine() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE OR REPLACE FUNCTION notify_job() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER mine AFTER INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION notify_job()",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "UPDATE alembic_version SET version_num = '0001'",
        "GRANT ALL ON api_keys TO paraqueue_worker",
        f"SET ROLE {USER}",
    ],
)
def test_no_role_changes_the_schema_or_its_rights(url: str, role: str, statement: str) -> None:
    if statement.startswith("GRANT"):
        before = state(url)
        with psycopg.connect(as_role(url, role)) as connection:
            try:
                connection.execute(statement)  # who holds some right, but may not pass it on, gets a warning only
            except errors.InsufficientPrivilege:
                return
        assert state(url) == before
    else:
        refused(url, role, statement)


def test_every_table_is_listed(owner: Database) -> None:
    with owner.transaction() as session:
        assert session.scalars(roles.UNLISTED, roles.NAMES).all() == []
    listed = roles.GRANTS.read_text()
    assert [table.name for table in Row.metadata.sorted_tables if table.name not in listed] == []


def test_tests_run_each_operation_in_the_role_of_its_process(owner: Database) -> None:
    for calls in CALLED_BY.values():
        for module, names in calls.items():
            assert [name for name in names if not hasattr(module, name)] == []
    execute(owner, f"REVOKE DELETE ON workers FROM {LIGHT}")
    with pytest.raises(ProgrammingError, match="permission denied for table workers"):
        jobs.forget_dead_workers(owner)
    jobs.unregister_worker(owner, "w-1")


def test_a_new_table_is_told_and_nobody_may_use_it(
    owner: Database, postgres: Postgres, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(owner, "CREATE TABLE forgotten (id int)")
    execute(owner, "CREATE SEQUENCE counted")
    assert roles.set_up(owner, given(postgres), never).unlisted == ("counted", "forgotten")
    for role in ALL:
        refused(owner.url, role, "SELECT FROM forgotten")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told = CliRunner().invoke(app, ["roles"])
    assert (told.exit_code, told.stderr) == (0, "paraqueue: no role may use counted, forgotten: not in roles.sql\n")


def test_a_second_run_changes_nothing(owner: Database, postgres: Postgres) -> None:
    before = state(owner.url)
    assert "paraqueue_worker" in str(before)
    done = roles.set_up(owner, given(postgres), never)
    assert done == roles.SetUp(dict.fromkeys(ALL, "unchanged"), ())
    assert state(owner.url) == before
    assert roles.set_up(owner, {}, never) == done, "without passwords as well"
    assert state(owner.url) == before


def test_a_right_that_is_not_listed_any_more_is_taken_away(owner: Database, postgres: Postgres) -> None:
    before = state(owner.url)
    execute(owner, f"GRANT SELECT ON api_keys TO {WORKER}")
    execute(owner, f"GRANT UPDATE (max_running) ON tenants TO {LIGHT}")
    execute(owner, f"REVOKE SELECT ON jobs FROM {API}")
    execute(owner, "GRANT CREATE ON SCHEMA public TO PUBLIC")
    roles.set_up(owner, given(postgres), never)
    assert state(owner.url) == before


def test_a_migration_renews_the_rights_where_they_were_granted(owner: Database, tmp_path: Path) -> None:
    before = state(owner.url)
    execute(owner, f"REVOKE ALL ON speakers FROM {API}")
    alembic(["upgrade", "head"], owner.url, tmp_path, REPOSITORY)
    assert state(owner.url) == before
    # Installations on the same server that do not use the roles do not open to them.
    for role in ALL:
        execute(owner, f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
    without = state(owner.url)
    alembic(["upgrade", "head"], owner.url, tmp_path, REPOSITORY)
    assert state(owner.url) == without


def test_a_migration_says_where_only_some_roles_have_rights(owner: Database, tmp_path: Path) -> None:
    for role in (WORKER, LIGHT):
        execute(owner, f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
    before = state(owner.url)
    alembic(["upgrade", "head"], owner.url, tmp_path, REPOSITORY)
    assert state(owner.url) == before
    told = f"paraqueue: rights not renewed: {WORKER}, {LIGHT} without any; run python -m admin roles"
    assert told in (tmp_path / "migrations.log").read_text().splitlines()


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
