"""Whether each version's schema suits the code before it, which still runs while it is brought in."""

from __future__ import annotations

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.servers import fresh_database

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


def test_every_migration_suits_the_code_before_it(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(REPOSITORY / "alembic.ini")
    revisions = [item.revision for item in ScriptDirectory.from_config(config).walk_revisions()][::-1]
    by_revision: dict[str, list[str]] = {}
    with fresh_database(postgres) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        monkeypatch.setenv("PARAQUEUE_DATABASE_URL", url)
        before: Schema = {}
        for revision in revisions:
            command.upgrade(config, revision)
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
    assert len(ScriptDirectory.from_config(Config(REPOSITORY / "alembic.ini")).get_heads()) == 1
