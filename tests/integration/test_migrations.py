"""Migrations of a database that is full and in use: what is there is taken along, and nobody waits for it."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from dev.postgres import Postgres
from dev.process import StackError
from dev.stack import REPOSITORY, alembic

# Enough for building the index to take seconds.
SENTENCES = 40_000
FILL_JOBS = """
INSERT INTO jobs (id, status, model, channels, priority, tags, source_kind, source_url, tenant)
SELECT gen_random_uuid(), 'queued', 'demo-zh', 'mix', 5, ARRAY['all', 'all', 'tag-' || n % 10], 'https',
       'https://example.com/a', 'default' FROM generate_series(1, 25000) n
"""
FILL_SENTENCES = """
INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words)
SELECT (SELECT id FROM jobs LIMIT 1), 1, n, 0, 0, 1, 1, repeat(md5(n::text) || '预算会议', 3), '[]'
FROM generate_series(1, %s) n
"""
ADD_SENTENCE = """
INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words)
VALUES ((SELECT id FROM jobs LIMIT 1), 1, %s, 0, 0, 1, 1, '你好', '[]')
"""
ADD_JOB = """
INSERT INTO jobs (id, status, model, channels, priority, tags, source_kind, source_url)
VALUES (gen_random_uuid(), 'queued', 'demo-zh', 'mix', 5, '{new}', 'https', 'https://example.com/a') RETURNING id
"""


@pytest.fixture
def empty_database(postgres: Postgres) -> Iterator[str]:
    """A database without a table."""
    name = f"migrated_{secrets.token_hex(6)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield postgres.url(name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class Traffic:
    """The running service: adds sentences and jobs one after the other, and notes how long each took."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self.took: list[float] = []
        self.failed: list[Exception] = []
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)

    def _run(self) -> None:
        number = 10 * SENTENCES
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.wait(0.01):
                began = time.monotonic()
                try:
                    connection.execute(ADD_SENTENCE, [number])
                    connection.execute(ADD_JOB)
                except psycopg.Error as error:
                    self.failed.append(error)
                    return
                number += 1
                self.took.append(time.monotonic() - began)


def upgrade(url: str, place: Path, revision: str = "head") -> float:
    """Returns how many seconds it took."""
    began = time.monotonic()
    alembic(["upgrade", revision], url, place, REPOSITORY)
    return time.monotonic() - began


def one(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        return (connection.execute(query).fetchone() or (None,))[0]


VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('sentences_search')"
UNTAGGED = """
SELECT count(*) FROM (SELECT id, unnest(tags) AS tag FROM jobs EXCEPT SELECT job_id, tag FROM job_tags) AS missing
"""


def kill_the_builder(url: str) -> None:
    """Cut the connection that builds the index, as soon as it does."""
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index WHERE datname = current_database()"
    deadline = time.monotonic() + 60
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute(kill).fetchall() and time.monotonic() < deadline:
            time.sleep(0.02)


def test_a_full_database_is_upgraded_while_it_is_written_to(empty_database: str, tmp_path: Path) -> None:
    url = empty_database
    upgrade(url, tmp_path, "0011")
    with psycopg.connect(url) as connection:
        connection.execute(FILL_JOBS)
        connection.execute(FILL_SENTENCES, [SENTENCES])  # type: ignore[arg-type]
    killer = threading.Thread(target=kill_the_builder, args=(url,))
    killer.start()
    with pytest.raises(StackError):
        upgrade(url, tmp_path)
    killer.join(90)
    assert one(url, VALID) is False, "broken off, it leaves an index that is of no use"
    assert one(url, "SELECT version_num FROM alembic_version") == "0011"
    with Traffic(url) as traffic:
        took = upgrade(url, tmp_path)
    assert not traffic.failed
    assert took > 2, "it took so long that waiting for it would show"
    assert max(traffic.took) < took / 3 and len(traffic.took) > 20, (took, max(traffic.took), len(traffic.took))
    assert one(url, VALID) is True
    assert one(url, UNTAGGED) == 0, "the tags of all jobs: from before, from meanwhile and from after"
    assert one(url, "SELECT count(*) FROM job_tags WHERE tag = 'all'") == 25_000, "each once"
    assert one(url, "SELECT count(*) FROM job_tags WHERE tag = 'new'") == len(traffic.took)
