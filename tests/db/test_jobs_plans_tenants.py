"""Many tenants in one database: the cost of a tenant's call depends on its own data, not on that of all tenants.

All tenants use the same tags and states, so an index without the tenant would find the jobs of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from common import jobs, webhooks
from common.db import Database
from common.job_states import Status
from common.webhooks import DeliveryFilter
from dev.postgres import Postgres
from tests.db.job_cases import pool_on, rows, with_worker, write_many
from tests.db.plan_cases import Watched, told_by, watched

TENANTS, EACH = 300, 60
ONE_OF_THEM = "tenant-77"
# A page and one more row. Reading the jobs of all tenants would be tens of thousands.
PAGE, ENOUGH = 20, 3 * EACH
FILL = f"""
INSERT INTO tenants (name) SELECT 'tenant-' || n FROM generate_series(1, {TENANTS}) n;
INSERT INTO jobs (id, created_at, tenant, status, model, channels, priority, tags, source_kind, source_url)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % {TENANTS},
       (ARRAY['completed', 'failed', 'canceled', 'queued'])[1 + (n / {TENANTS}) % 4], 'demo-zh', 'mix', 5,
       ARRAY['meeting', 'all'], 'https', 'https://example.com/a'
FROM generate_series(1, {TENANTS * EACH}) n;
INSERT INTO batches (id, created_at, tenant, total, refused)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % {TENANTS}, 2, '[]'
FROM generate_series(1, {TENANTS * 10}) n;
INSERT INTO deliveries (id, created_at, tenant, event, lane, status)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % {TENANTS}, 'webhook.test', '', 'dead'
FROM generate_series(1, {TENANTS * 20}) n;
INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words, tenant)
SELECT id, 1, 0, 0, 0, 1, 1, '明年的预算会议', '[]', tenant FROM jobs WHERE status = 'completed';
INSERT INTO edits (job_id, run, number, tenant, text, revision)
SELECT job_id, run, number, tenant, '明年的预算会议。', 1 FROM sentences;
"""


@pytest.fixture(scope="module")
def filled(postgres: Postgres) -> Iterator[Watched]:
    with pool_on(postgres) as database:
        write_many(database, FILL)
        with_worker(database, slots=4)
        yield watched(database)


def page(**filters: object) -> Callable[[Database], object]:
    def call(database: Database) -> object:
        page_read = jobs.page(database, tenant=ONE_OF_THEM, limit=PAGE, **filters)  # type: ignore[arg-type]
        assert page_read.jobs
        assert {job.tenant for job in page_read.jobs} == {ONE_OF_THEM}
        return page_read

    return call


def second_page(**filters: object) -> Callable[[Database], object]:
    def call(database: Database) -> object:
        first = jobs.page(database, tenant=ONE_OF_THEM, limit=PAGE, **filters)  # type: ignore[arg-type]
        assert first.next_cursor is not None
        return page(after=first.next_cursor, **filters)(database)

    return call


def search(database: Database) -> None:
    results = jobs.search(database, "预算", tenant=ONE_OF_THEM)
    assert results.hits


CALLS: dict[str, tuple[Callable[[Database], object], set[str]]] = {
    "newest": (page(), {"jobs_newest"}),
    "second page": (second_page(), {"jobs_newest"}),
    "by status": (page(status=Status.FAILED), {"jobs_by_status"}),
    "by tag": (page(tag="meeting"), {"job_tags_newest", "jobs_pkey"}),
    "second page of a tag": (second_page(tag="meeting"), {"job_tags_newest", "jobs_pkey"}),
    "by status and tag": (page(status=Status.FAILED, tag="meeting"), {"jobs_by_status"}),
    "batches": (lambda d: jobs.batch_page(d, tenant=ONE_OF_THEM), {"batches_newest"}),
    "log of webhooks": (
        lambda d: webhooks.delivery_page(d, DeliveryFilter(tenant=ONE_OF_THEM), limit=PAGE),
        {"deliveries_of_tenant"},
    ),
    "search": (search, {"sentences_search"}),
}


def test_the_tenants_are_many(filled: Watched) -> None:
    assert rows(filled[0], "SELECT count(DISTINCT tenant), count(*) FROM jobs") == [(TENANTS, TENANTS * EACH)]


@pytest.mark.parametrize("name", CALLS)
def test_it_reads_the_rows_of_its_tenant(filled: Watched, name: str) -> None:
    call, wanted = CALLS[name]
    plans = told_by(filled, call)
    assert not plans.sequential(), "\n".join(plans.sequential())
    assert wanted <= plans.indexes(), "\n".join(plans.notices)
    assert plans.most_rows() <= ENOUGH, "\n".join(plans.notices)
