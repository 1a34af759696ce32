"""Whether each version's schema suits the code before it, which still runs while it is brought in."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event

from dev.postgres import Postgres
from dev.process import Child, StackError, spawn
from dev.stack import REPOSITORY, alembic
from tests.servers import fresh_database
from tests.waiting import until

CONFIG = Config(REPOSITORY / "alembic.ini")
REVISIONS = [item.revision for item in ScriptDirectory.from_config(CONFIG).walk_revisions()][::-1]
MIGRATION_SECONDS = 180.0
# Those that build indexes of tables that are in use.
BUILDERS = ("0002", "0007", "0011")

COLUMNS = """
SELECT table_name, column_name, udt_name, is_nullable = 'YES', column_default IS NOT NULL
FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
"""
Schema = dict[str, dict[str, tuple[str, bool, bool]]]


def schema(url: str) -> Schema:
    """Tables with their columns: type, whether NULL is taken, whether there is a default."""
    schema: Schema = {}
    with psycopg.connect(url) as connection:
        for table, column, *rest in connection.execute(COLUMNS).fetchall():
            schema.setdefault(table, {})[column] = (rest[0], rest[1], rest[2])
    return schema


def problems(before: Schema, after: Schema) -> list[str]:
    """What code that was written for `before` would stumble over."""
    differences = [f"{table} is gone" for table in before if table not in after]
    for table in before.keys() & after.keys():
        old, new = before[table], after[table]
        differences += [f"{table}.{column} is gone" for column in old if column not in new]
        for column, (kind, nullable, default) in new.items():
            if column not in old:
                if not (nullable or default):
                    differences.append(f"{table}.{column} is new, and an INSERT that does not know it fails")
            elif kind != old[column][0]:
                differences.append(f"{table}.{column} is {kind} now")
            elif old[column][1] and not nullable:
                differences.append(f"{table}.{column} does not take NULL any more")
            elif old[column][2] and not (default or nullable):
                differences.append(f"{table}.{column} has no default any more")
    return sorted(differences)


@contextmanager
def empty_database(postgres: Postgres) -> Iterator[str]:
    with fresh_database(postgres) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        yield url


def test_every_migration_suits_the_code_before_it(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    by_revision: dict[str, list[str]] = {}
    with empty_database(postgres) as url:
        monkeypatch.setenv("PARAQUEUE_DATABASE_URL", url)
        before: Schema = {}
        for revision in REVISIONS:
            command.upgrade(CONFIG, revision)
            after = schema(url)
            if wrong := problems(before, after):
                by_revision[revision] = wrong
            before = after
    assert by_revision == {}


def test_a_change_that_breaks_running_code_would_be_noticed() -> None:
    before: Schema = {"jobs": {"id": ("uuid", False, False), "name": ("text", True, False)}, "gone": {}}
    after: Schema = {
        "jobs": {"id": ("text", False, False), "name": ("text", False, False), "more": ("text", False, False)},
        "new": {"id": ("uuid", False, False)},
    }
    assert problems(before, after) == [
        "gone is gone",
        "jobs.id is text now",
        "jobs.more is new, and an INSERT that does not know it fails",
        "jobs.name does not take NULL any more",
    ]
    assert problems(before, before) == []


def test_there_is_one_newest_migration() -> None:
    assert len(ScriptDirectory.from_config(CONFIG).get_heads()) == 1


def blocking(statements: list[str]) -> list[str]:
    """The statements of a migration that build an index of a table which is not new, and block writes to it."""
    text = "\n".join(statements)
    new = set(re.findall(r"CREATE TABLE (\w+)", text))
    built = re.findall(r"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?:IF NOT EXISTS )?\w+ ON (?:ONLY )?(\w+).*", text)
    return [table for table in built if table not in new]


def test_no_migration_blocks_writes_while_an_index_is_built(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    with empty_database(postgres) as url:
        monkeypatch.setenv("PARAQUEUE_DATABASE_URL", url)
        command.upgrade(CONFIG, REVISIONS[0])
        there = schema(url)
        event.listen(Engine, "before_cursor_execute", note)
        try:
            for move, revisions in ((command.upgrade, REVISIONS[1:]), (command.downgrade, REVISIONS[-2::-1])):
                for revision in revisions:
                    statements.clear()
                    move(CONFIG, revision)
                    assert blocking(statements) == [], revision
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        assert schema(url) == there, "downgrades undo what upgrades do"
    made = ["CREATE TABLE new (id int)", "CREATE INDEX a ON new (id)", "CREATE UNIQUE INDEX b ON jobs (id)"]
    assert blocking(made) == ["jobs"], "the test would notice one"


@dataclass(frozen=True)
class Old:
    """A database of an earlier version with a job."""

    url: str
    logs: Path

    def at(self, revision: str) -> None:
        """Bring it to a version."""
        alembic(["upgrade", revision], self.url, self.logs, REPOSITORY)

    def migration(self, revision: str) -> Child:
        """One that runs beside the test."""
        environment = os.environ | {"PARAQUEUE_DATABASE_URL": self.url}
        command = [sys.executable, "-m", "alembic", "upgrade", revision]
        return spawn("alembic", command, self.logs / "migrations.log", env=environment, cwd=REPOSITORY)

    def execute(self, statement: str) -> list[Any]:
        """A statement that gives up when it would have to wait for another one's lock."""
        with psycopg.connect(self.url, options="-c lock_timeout=100s") as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def until_running(self, statement: str) -> int:
        """Wait until a session runs this statement; its process id."""

        def pid() -> int | None:
            sessions = self.execute(
                f"SELECT pid FROM pg_stat_activity WHERE {HERE} AND starts_with(query, '{statement}')"
            )
            return int(sessions[0][0]) if sessions else None

        return until(pid, what=f"nobody runs {statement}")

    def until_polling(self) -> None:
        """Wait until an idle session has committed several transactions."""
        moments = set[Any]()

        def several() -> bool:
            idle = f"SELECT state_change FROM pg_stat_activity WHERE {HERE} AND query = 'COMMIT' AND state = 'idle'"
            moments.update(self.execute(idle))
            return len(moments) >= 4

        until(several, what="nobody polls")

    @contextmanager
    def old_snapshot(self) -> Iterator[None]:
        """A transaction that holds a snapshot, for whose end an index that is built concurrently waits."""
        with psycopg.connect(self.url) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.execute("SELECT")
            yield


HERE = "datname = current_database() AND pid <> pg_backend_pid()"
NEW_JOB = "INSERT INTO jobs (id, model, channels, source_kind) VALUES (gen_random_uuid(), 'm', 'mix', 'http')"
INVALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
BUILT = "SELECT count(*) FROM pg_indexes WHERE indexname IN ('jobs_waiting_new', 'jobs_to_fetch')"
VERSION = "SELECT version_num FROM alembic_version"


@pytest.fixture
def old(postgres: Postgres, tmp_path: Path) -> Iterator[Callable[[str], Old]]:
    with empty_database(postgres) as url:

        def at(revision: str) -> Old:
            database = Old(url, tmp_path)
            database.at(revision)
            database.execute(NEW_JOB)
            return database

        yield at


@pytest.mark.parametrize("revision", BUILDERS)
def test_jobs_are_written_while_their_index_is_built(old: Callable[[str], Old], revision: str) -> None:
    database = old(before(revision))
    with database.old_snapshot():
        migration = database.migration(revision)
        database.until_running("CREATE INDEX CONCURRENTLY")
        database.execute(NEW_JOB)
        database.execute("UPDATE jobs SET priority = 6")
        assert migration.running
    migration.wait(MIGRATION_SECONDS)
    assert database.execute(VERSION) == [(revision,)]
    assert database.execute("SELECT count(*) FROM jobs") == [(2,)]
    assert database.execute(INVALID) == []


@pytest.mark.parametrize("revision", BUILDERS)
def test_an_interrupted_migration_can_be_repeated(old: Callable[[str], Old], revision: str) -> None:
    database = old(before(revision))
    with database.old_snapshot():
        migration = database.migration(revision)
        session = database.until_running("CREATE INDEX CONCURRENTLY")
        database.execute(f"SELECT pg_terminate_backend({session})")
        with pytest.raises(StackError):
            migration.wait(MIGRATION_SECONDS)
    assert database.execute(VERSION) == [(before(revision),)]
    [(unfinished,)] = database.execute(INVALID)
    database.at(revision)
    assert database.execute(VERSION) == [(revision,)]
    assert database.execute(INVALID) == []
    assert database.execute(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{unfinished}'::regclass") == [(True,)]


def test_a_migration_that_gets_no_lock_keeps_the_indexes_that_it_has_built(old: Callable[[str], Old]) -> None:
    database = old("0001")
    with psycopg.connect(database.url) as reader:
        reader.execute("SELECT FROM jobs")
        with pytest.raises(StackError, match="lock timeout"):
            database.at("0002")
        assert database.execute(BUILT) == [(2,)]
        assert database.execute(VERSION) == [("0001",)]
    database.at("0002")
    assert database.execute(BUILT) == [(1,)]
    assert "audio_key IS NOT NULL" in str(database.execute("SELECT pg_get_indexdef('jobs_waiting'::regclass)"))


def test_two_migrations_at_once(old: Callable[[str], Old]) -> None:
    database = old("0001")
    with database.old_snapshot():
        first = database.migration("head")
        database.until_running("CREATE INDEX CONCURRENTLY")
        second = database.migration("head")
        database.until_polling()
    first.wait(MIGRATION_SECONDS)
    second.wait(MIGRATION_SECONDS)
    assert database.execute(VERSION) == [(REVISIONS[-1],)]
    assert database.execute(INVALID) == []


def before(revision: str) -> str:
    return REVISIONS[REVISIONS.index(revision) - 1]
