"""Share links in the database: found by an index, counted, and deleted when they are over."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from common import shares
from common.db import Database
from common.shares import NewShare
from dev.postgres import Postgres
from tests.db.job_cases import NO_LIMIT, at_once, completed, execute, one, pool_on, write_many
from tests.db.plan_cases import Watched, told_by, watched
from tests.db.test_jobs_plans import FILL as MANY_JOBS

FILL = """
INSERT INTO shares (id, job_id, hash, audio, expires_at)
SELECT gen_random_uuid(), job.id, sha256(n::text::bytea), false, now() + make_interval(hours => n - 100)
FROM generate_series(1, 20000) n
JOIN (SELECT id, row_number() OVER () AS k, count(*) OVER () AS many FROM jobs) job ON job.k = n % job.many + 1;
"""


@pytest.fixture(scope="module")
def filled(postgres: Postgres) -> Iterator[Watched]:
    with pool_on(postgres) as database:
        write_many(database, MANY_JOBS)
        write_many(database, FILL)
        token = shares.create(database, NewShare(completed(database).id, "default", None, 3600), 3600)[1]
        execute(database, "UPDATE tenants SET served_at = NULL")
        TOKENS.append(token)
        yield watched(database)


TOKENS: list[str] = []


def test_a_token_is_found_by_an_index(filled: Watched) -> None:
    plans = told_by(filled, lambda database: shares.visit(database, TOKENS[-1], 3600))
    assert "shares_by_hash" in plans.indexes()
    assert plans.most_rows() < 50


def test_the_links_of_a_job_are_found_by_an_index(filled: Watched) -> None:
    job_id = one(filled[0], "SELECT job_id FROM shares ORDER BY expires_at DESC LIMIT 1")
    plans = told_by(filled, lambda database: shares.of_job(database, job_id, 1e7))
    assert "shares_of_job" in plans.indexes()
    assert plans.most_rows() < 50


def test_links_that_are_over_are_deleted_and_others_stay(filled: Watched) -> None:
    database, _ = filled
    over = one(database, "SELECT count(*) FROM shares WHERE expires_at <= now()")
    left = one(database, "SELECT count(*) FROM shares WHERE expires_at > now()")
    assert over > 50
    assert shares.expire(database, NO_LIMIT) >= over
    assert one(database, "SELECT count(*) FROM shares") <= left


def test_views_at_once_are_all_counted(filled: Watched) -> None:
    database: Database = filled[0]
    share, _ = shares.create(database, NewShare(completed(database).id, "default", None, 3600), 3600)
    together = threading.Barrier(8)

    def view() -> None:
        together.wait()
        shares.count_view(database, share.id)

    at_once([view] * 8)
    assert one(database, "SELECT views FROM shares WHERE id = :id", id=share.id) == 8
