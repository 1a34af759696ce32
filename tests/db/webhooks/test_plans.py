"""Every query of the outbox and of its log finds its rows by an index; see `test_jobs_plans`."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from common import jobs, webhooks
from common.db import Database
from common.webhooks import DeliveryFilter, DeliveryStatus, EndpointChange
from dev.postgres import Postgres
from tests.db.job_cases import NO_LIMIT, one, pool_on, write_many
from tests.db.plan_cases import REPEATS, Watched, watched

# A log of some weeks; one receiver was away for a day, some deliveries wait.
FILL = """
INSERT INTO webhook_endpoints (id, url, events, secret)
SELECT gen_random_uuid(), 'https://example.com/' || n, '{transcription.completed}', '' FROM generate_series(1, 20) n;
INSERT INTO jobs (id, model, channels, source_kind, source_url, status)
SELECT gen_random_uuid(), 'demo-zh', 'mix', 'https', 'https://example.com/a', 'completed' FROM generate_series(1, 5000);
INSERT INTO deliveries (id, created_at, event, job_id, endpoint_id, lane, payload, status, next_attempt_at)
SELECT gen_random_uuid(), now() - make_interval(secs => n * 60), 'transcription.completed', job.id, endpoint.id,
       'lane' || n % 20, '{}', CASE WHEN n % 100 = 1 THEN 'pending' WHEN n % 100 = 2 THEN 'dead' ELSE 'delivered' END,
       now() + make_interval(secs => n - 1000)
FROM generate_series(1, 40000) n
JOIN (SELECT id, row_number() OVER () AS k FROM jobs) job ON job.k = n % 5000 + 1
JOIN (SELECT id, row_number() OVER () AS k FROM webhook_endpoints) endpoint ON endpoint.k = n % 20 + 1;
"""


@pytest.fixture(scope="module")
def filled(postgres: Postgres) -> Iterator[Watched]:
    with pool_on(postgres) as database:
        write_many(database, FILL)
        yield watched(database)


def some(database: Database, table: str, condition: str = "true") -> uuid.UUID:
    row_id: uuid.UUID = one(database, f"SELECT id FROM {table} WHERE {condition} LIMIT 1")
    return row_id


def endpoint(database: Database) -> uuid.UUID:
    return some(database, "webhook_endpoints")


def page(only: Callable[[Database], DeliveryFilter]) -> Callable[[Database], object]:
    def call(database: Database) -> object:
        first = webhooks.delivery_page(database, only(database), limit=5)
        return webhooks.delivery_page(database, only(database), limit=5, after=first.next_cursor)

    return call


def claim(database: Database) -> None:
    due = [item.id for item in webhooks.due(database, full=["lane3"], per_lane=4)]
    assert webhooks.claim_deliveries(database, due[:2], lease_seconds=-60)


def announce(database: Database) -> None:
    with database.transaction() as session:
        webhooks.announce(session, webhooks.started(session, [some(database, "jobs")]))


def forget(database: Database) -> None:
    with database.transaction() as session:
        webhooks.forget_job(session, some(database, "jobs"))


def replay_since(database: Database) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    webhooks.replay_since(database, endpoint(database), since, only_dead=True)


CALLS: dict[str, tuple[Callable[[Database], object], set[str]]] = {
    "any due": (webhooks.any_due, {"deliveries_due"}),
    "due": (lambda d: webhooks.due(d, full=["lane3"], per_lane=4), {"deliveries_due"}),
    "figures": (jobs.queue_stats, {"deliveries_due"}),
    "claim": (claim, {"deliveries_pkey"}),
    "announce": (announce, {"jobs_pkey"}),
    "log": (page(lambda _d: DeliveryFilter()), {"deliveries_newest"}),
    "log of an endpoint": (page(lambda d: DeliveryFilter(endpoint_id=endpoint(d))), {"deliveries_of_endpoint"}),
    "log of a job": (page(lambda d: DeliveryFilter(job_id=some(d, "jobs"))), {"deliveries_of_job"}),
    "dead ones": (
        page(lambda d: DeliveryFilter(endpoint_id=endpoint(d), status=DeliveryStatus.DEAD)),
        {"deliveries_dead"},
    ),
    "replay since": (replay_since, set()),
    "disable": (lambda d: webhooks.update_endpoint(d, endpoint(d), EndpointChange(enabled=False)), set()),
    "expire": (lambda d: webhooks.expire_deliveries(d, NO_LIMIT, after_seconds=39_990 * 60), {"deliveries_newest"}),
    "forget": (forget, {"deliveries_of_job"}),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_reads_an_index_and_never_the_whole_log(filled: Watched, name: str) -> None:
    call, wanted = CALLS[name]
    database, plans = filled
    for _ in range(REPEATS):
        call(database)
    plans.notices.clear()
    call(database)
    whole = [plan for plan in plans.notices if re.search(r"Seq Scan on (deliveries|jobs)\b", plan)]
    assert not whole, "\n".join(whole)
    assert wanted <= plans.indexes(), "\n".join(plans.notices)
