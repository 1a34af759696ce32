"""What the database roles may do, and what they may not; how their rights are renewed.

That they may do all that the code needs is shown by the other tests: see `tests/roles.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import errors
from sqlalchemy.exc import ProgrammingError
from typer.testing import CliRunner

from admin import roles
from admin.cli import app
from admin.roles import API, LIGHT, WORKER
from common import jobs
from common.db import Database
from common.models import Row
from dev.postgres import USER, Postgres
from dev.stack import REPOSITORY, alembic
from tests.db.job_cases import execute
from tests.db.role_cases import ALL, state
from tests.roles import CALLED_BY, as_role
from tests.servers import fresh_database


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
        "SELECT content FROM summaries",
        "SELECT prompt FROM summary_templates",
        "SELECT consent FROM voices",
        "SELECT enrolled_by FROM voice_samples",
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


def test_a_light_worker_reads_no_hashes_and_changes_no_transcripts(url: str) -> None:
    for statement in (
        "SELECT hash FROM api_keys",
        "UPDATE sentences SET text = ''",
        "UPDATE edits SET text = ''",
        "UPDATE speakers SET name = ''",
        "SELECT prompt FROM summary_templates",
        "INSERT INTO summaries (job_id, tenant, kind) SELECT gen_random_uuid(), 'a', 'minutes'",
        "SELECT text FROM machine_sentences",
        "SELECT text FROM earlier_edits",
        "SELECT state FROM parts",
        "SELECT windows FROM speaker_windows",
        "SELECT body FROM idempotency_keys",
        "SELECT hash FROM shares",
    ):
        refused(url, LIGHT, statement)


def test_workers_keep_and_compare_voice_prints_and_light_workers_delete_them(url: str) -> None:
    compared = "SELECT id, name, embedding, speech_ms FROM voices JOIN voice_samples ON voice_id = id"
    kept = "INSERT INTO voice_prints SELECT * FROM voice_prints WHERE false"
    for statement in (compared, kept, "SELECT embedding FROM voice_prints", "SELECT embedding FROM voice_samples"):
        allowed(url, WORKER, statement)
        refused(url, LIGHT, statement)
    due = "DELETE FROM voice_prints WHERE tenant = 'a' RETURNING job_id, run, number"
    allowed(url, LIGHT, due)
    refused(url, WORKER, due)
    refused(url, LIGHT, "SELECT name FROM voices")


@pytest.mark.parametrize("role", [WORKER, LIGHT])
def test_only_the_api_enrols_renames_and_deletes_voices(url: str, role: str) -> None:
    for statement in (
        "INSERT INTO voices (id, tenant, name, consent) SELECT gen_random_uuid(), 'a', 'b', 'c' WHERE false",
        "UPDATE voices SET name = ''",
        "DELETE FROM voices WHERE tenant = 'a'",
        "INSERT INTO voice_samples SELECT * FROM voice_samples WHERE false",
        "UPDATE voice_samples SET speech_ms = 0",
        "DELETE FROM voice_samples",
    ):
        refused(url, role, statement)
        allowed(url, API, statement)
    refused(url, role, "UPDATE voice_prints SET speech_ms = 0")
    for whose in (role, API):
        refused(url, whose, "UPDATE voice_prints SET tenant = 'a'")


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
