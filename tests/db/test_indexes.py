"""Every index of the schema is in the table of docs/indexes.md, with a function that needs it, and is used by it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from common import (
    idempotency,
    jobs,
    keys,
    renditions,
    sessions,
    shares,
    summaries,
    uploads,
    vocabularies,
    voices,
    webhooks,
)
from common.db import Database
from common.errors import Unauthenticated
from common.jobs.accounting.quota import Allowance, Quota
from common.renditions import Kind
from common.storage import LocalStorage
from common.uploads import Room
from common.webhooks import DeliveryFilter, DeliveryStatus, EndpointChange
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.db import test_jobs_plans as plans_of_jobs
from tests.db.job_cases import NO_LIMIT, one, submission, with_worker, write_many
from tests.db.plan_cases import Watched, watched
from tests.servers import fresh_database

PAGE = REPOSITORY / "docs" / "indexes.md"
ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)
INDEXES = """
SELECT index.relname, contype FROM pg_index
JOIN pg_class AS index ON index.oid = indexrelid
JOIN pg_class AS indexed ON indexed.oid = indrelid
LEFT JOIN pg_constraint ON conindid = indexrelid AND contype = 'p'
WHERE index.relnamespace = 'public'::regnamespace AND indexed.relname <> 'alembic_version'
"""
TOKEN = shares.TOKEN_PREFIX + "a" * 43
KEY = uuid.UUID(int=9)
ONE_OF_THEM = "tenant-7"
FILL = """
INSERT INTO tenants (name) SELECT 'tenant-' || n FROM generate_series(1, 200) n;
INSERT INTO api_keys (id, created_at, tenant, name, hash, previous_hash, hint, scopes, made_by)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % 200, 'k', sha256(n::text::bytea),
       sha256((-n)::text::bytea), '', '{}', gen_random_uuid() FROM generate_series(1, 2000) n;
INSERT INTO usage (job_id, run, ended_at, tenant, model, tags, status, audio_ms, processing_ms)
SELECT gen_random_uuid(), 1, now() - make_interval(hours => n), 'tenant-' || 1 + n % 200, 'm' || n % 50, '{}',
       'completed', 1, 1 FROM generate_series(1, 5000) n;
INSERT INTO usage_daily (key_id, day, tenant, audio_ms)
SELECT gen_random_uuid(), now() - make_interval(days => n % 400), 'tenant-' || 1 + n % 200, 1
FROM generate_series(1, 5000) n;
INSERT INTO ended_sessions SELECT gen_random_uuid(), now() + make_interval(hours => n) FROM generate_series(-9, 2000) n;
INSERT INTO idempotency_keys (tenant, key_id, key, created_at, token, job_id)
SELECT 'default', gen_random_uuid(), id::text, created_at, gen_random_uuid(), id FROM jobs;
INSERT INTO idempotency_keys (tenant, key_id, key, created_at, token, batch_id)
SELECT 'default', gen_random_uuid(), id::text, now(), gen_random_uuid(), id FROM batches;
INSERT INTO uploads (id, tenant, direct, part_bytes, expires_at)
SELECT gen_random_uuid(), 'tenant-' || 1 + n % 200, false, 1, now() + make_interval(hours => n)
FROM generate_series(-9, 2000) n;
INSERT INTO shares (id, job_id, hash, audio, expires_at)
SELECT gen_random_uuid(), id, sha256(id::text::bytea), false, now() + make_interval(hours => 9) FROM jobs;
INSERT INTO peaks (job_id, source_key, status, requested_at)
SELECT id, '', CASE WHEN priority = 0 THEN 'wanted' ELSE 'ready' END, created_at FROM jobs;
INSERT INTO renditions (job_id, source_key, status, requested_at)
SELECT id, '', CASE WHEN priority = 0 THEN 'wanted' ELSE 'ready' END, created_at FROM jobs;
INSERT INTO summary_usage (id, began_at, tenant, model, tags, prompt_tokens, completion_tokens)
SELECT gen_random_uuid(), now() - make_interval(hours => n), 'tenant-' || 1 + n % 200, 'm', '{}', 1, 1
FROM generate_series(1, 5000) n;
INSERT INTO summary_templates (id, created_at, tenant, name, prompt)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % 200, 'n' || n, ''
FROM generate_series(1, 5000) n;
INSERT INTO vocabularies (id, created_at, tenant, name, hotwords, masked_words)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % 200, 'n' || n, '{}', '{}'
FROM generate_series(1, 5000) n;
INSERT INTO voices (id, created_at, tenant, name, consent)
SELECT gen_random_uuid(), now() - make_interval(secs => n), 'tenant-' || 1 + n % 200, 'n' || n, ''
FROM generate_series(1, 5000) n;
INSERT INTO speakers (job_id, run, number, tenant, speech_ms, voice_id)
SELECT job.id, 1, 1, 'tenant-' || 1 + job.k % 200, 1, voice.id
FROM (SELECT id, row_number() OVER () AS k FROM jobs) job
LEFT JOIN (SELECT id, row_number() OVER () AS k FROM voices) voice ON voice.k = job.k;
INSERT INTO voice_prints (job_id, run, number, tenant, model, embedding, speech_ms)
SELECT job_id, run, number, tenant, 'm', '', 1 FROM speakers WHERE tenant < 'tenant-11';
INSERT INTO webhook_endpoints (id, url, events, secret)
SELECT gen_random_uuid(), 'https://example.com/' || n, '{transcription.completed}', '' FROM generate_series(1, 20) n;
INSERT INTO deliveries (id, created_at, tenant, event, job_id, endpoint_id, lane, payload, status, next_attempt_at)
SELECT gen_random_uuid(), now() - make_interval(secs => job.k * 60), 'tenant-' || 1 + job.k % 200, 'e', job.id,
       endpoint.id, 'lane' || job.k % 20, '{}',
       CASE WHEN job.k % 100 < 20 THEN 'pending' WHEN job.k % 100 < 40 THEN 'dead' ELSE 'delivered' END,
       now() + make_interval(secs => job.k - 1000)
FROM (SELECT id, row_number() OVER () AS k FROM jobs) job
JOIN (SELECT id, row_number() OVER () AS k FROM webhook_endpoints) endpoint ON endpoint.k = job.k % 20 + 1;
UPDATE sentences SET text = '明年的预算会议' || abs(hashtext(job_id::text)) % 1000;
UPDATE edits SET text = '去年的董事会' || abs(hashtext(job_id::text)) % 1000;
"""
JOBS = 6000


@pytest.fixture(scope="module")
def filled(postgres: Postgres) -> Iterator[Watched]:
    """Rows in every table, so that of several indexes PostgreSQL takes the one that fits; and no sequential scans."""
    with fresh_database(postgres) as url:
        database = Database(f"{url}{'&' if '?' in url else '?'}options=-c%20enable_seqscan%3Doff", 5)
        write_many(database, plans_of_jobs.FILL.replace("20000", str(JOBS)))
        for statements in (plans_of_jobs.BATCHES, plans_of_jobs.SUMMARIES, FILL):
            write_many(database, statements)
        with_worker(database, slots=40)
        yield watched(database)
        database.close()


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> LocalStorage:
    return LocalStorage(tmp_path_factory.mktemp("storage"))


def listed() -> dict[str, str]:
    """The indexes in the documentation, with what it says of their use."""
    return {name: use for name, _, use in ROW.findall(PAGE.read_text())}


def existing(database: Database) -> dict[str, bool]:
    """The indexes of the schema, and whether they are primary keys."""
    with psycopg.connect(database.url) as connection:
        return {name: kind is not None for name, kind in connection.execute(INDEXES)}


def some(database: Database, table: str, condition: str = "true") -> Any:
    return one(database, f"SELECT id FROM {table} WHERE {condition} LIMIT 1")


def deliveries(database: Database, **only: Any) -> None:
    webhooks.delivery_page(database, DeliveryFilter(**only), limit=5)


def endpoint(database: Database) -> uuid.UUID:
    found: uuid.UUID = some(database, "webhook_endpoints")
    return found


def submit(database: Database, owner: str, **allowance: int) -> None:
    quota = Quota(**{owner: Allowance(**allowance)})
    jobs.submit(database, submission(key_id=KEY, tenant=ONE_OF_THEM, quota=quota))


def authenticate(database: Database) -> None:
    with pytest.raises(Unauthenticated):
        keys.authenticated(database, b"unknown")


def usage(database: Database, tenant: str | None) -> None:
    now = datetime.now(UTC)
    jobs.usage(database, tenant, start=now - timedelta(hours=9), end=now)


def upload(database: Database) -> None:
    room = Room(uploads=1000)
    told: dict[str, Any] = {"length": 1, "name": None, "metadata": None, "part_bytes": 1, "retention_seconds": 60}
    uploads.create(database, tenant=ONE_OF_THEM, room=room, **told)


def delete(database: Database, storage: LocalStorage) -> None:
    jobs.delete_job(database, storage, some(database, "jobs", "status = 'failed'"))


def plan(name: str) -> Callable[[Database, LocalStorage], object]:
    call, _ = plans_of_jobs.CALLS[name]
    return lambda database, _: call(database)


Use = tuple[str, Callable[[Database, LocalStorage], object]]
# The index, the function that the documentation names, and a call of it.
USES: dict[str, Use] = {
    "api_keys_by_hash": ("keys.authenticated", lambda d, _: authenticate(d)),
    "api_keys_by_previous_hash": ("keys.authenticated", lambda d, _: authenticate(d)),
    "api_keys_made_by": ("keys.revoke", lambda d, _: keys.revoke(d, some(d, "api_keys"))),
    "api_keys_of_tenant": ("keys.key_page", lambda d, _: keys.key_page(d, tenant=ONE_OF_THEM)),
    "batches_age": ("jobs.expire_batches", lambda d, _: jobs.expire_batches(d, NO_LIMIT, after_seconds=119_000)),
    "batches_newest": ("jobs.batch_page", plan("batches")),
    "deliveries_dead": (
        "webhooks.delivery_page",
        lambda d, _: deliveries(d, endpoint_id=endpoint(d), status=DeliveryStatus.DEAD),
    ),
    "deliveries_due": ("webhooks.due", lambda d, _: webhooks.due(d, full=["lane3"], per_lane=4)),
    "deliveries_newest": (
        "webhooks.expire_deliveries",
        lambda d, _: webhooks.expire_deliveries(d, NO_LIMIT, after_seconds=(JOBS - 10) * 60),
    ),
    "deliveries_of_endpoint": ("webhooks.delivery_page", lambda d, _: deliveries(d, endpoint_id=endpoint(d))),
    "deliveries_of_job": ("webhooks.delivery_page", lambda d, _: deliveries(d, job_id=some(d, "jobs"))),
    "deliveries_of_tenant": ("webhooks.delivery_page", lambda d, _: deliveries(d, tenant=ONE_OF_THEM)),
    "deliveries_waiting": (
        "webhooks.update_endpoint",
        lambda d, _: webhooks.update_endpoint(d, endpoint(d), EndpointChange(enabled=False)),
    ),
    "edits_search": ("jobs.search", lambda d, _: jobs.search(d, "董事会", tenant="default")),
    "ended_sessions_over": ("sessions.expire", lambda d, _: sessions.expire(d, NO_LIMIT)),
    "idempotency_keys_age": ("idempotency.expire", lambda d, _: idempotency.expire(d, NO_LIMIT)),
    "idempotency_keys_of_batch": (
        "jobs.expire_batches",
        lambda d, _: jobs.expire_batches(d, NO_LIMIT, after_seconds=118_000),
    ),
    "idempotency_keys_of_job": ("jobs.delete_job", delete),
    "job_tags_newest": ("jobs.page", plan("by rare tag")),
    "jobs_announced": ("jobs.dispatch", plan("dispatch")),
    "jobs_by_audio": ("jobs.find_duplicate", plan("earlier with the same audio")),
    "jobs_by_name": ("jobs.page", plan("by name")),
    "jobs_by_status": ("jobs.page", plan("by status")),
    "jobs_ended_with_audio": (
        "jobs.expire_audio",
        lambda d, s: jobs.expire_audio(d, s, NO_LIMIT, after_seconds=(JOBS - 60) * 60),
    ),
    "jobs_ended_with_result": (
        "jobs.expire_results",
        lambda d, _: jobs.expire_results(d, NO_LIMIT, after_seconds=(JOBS - 60) * 60),
    ),
    "jobs_longest": ("jobs.page", plan("longest")),
    "jobs_name_search": ("jobs.page", plan("with a rare name")),
    "jobs_newest": ("jobs.page", plan("newest")),
    "jobs_of_batch": ("jobs.get_batch", plan("batch")),
    "jobs_open_of_key": ("jobs.submit", lambda d, _: submit(d, "key", max_queued=1000)),
    "jobs_processing": ("jobs.renew", plan("renew")),
    "jobs_row_due": (
        "jobs.expire_jobs",
        lambda d, _: jobs.expire_jobs(d, NO_LIMIT, after_seconds=(JOBS - 10) * 60),
    ),
    "jobs_suspect": ("jobs.dispatch", plan("dispatch")),
    "jobs_to_fetch": ("jobs.claim_links", plan("claim links")),
    "jobs_waiting": ("jobs.dispatch", plan("dispatch")),
    "peaks_wanted": ("renditions.take", lambda d, _: renditions.take(d, Kind.PEAKS)),
    "renditions_wanted": ("renditions.take", lambda d, _: renditions.take(d)),
    "sentences_search": ("jobs.search", lambda d, _: jobs.search(d, "预算", tenant="default")),
    "shares_by_hash": ("shares.visit", lambda d, _: shares.visit(d, TOKEN, 1e7)),
    "shares_of_job": ("shares.of_job", lambda d, _: shares.of_job(d, some(d, "jobs"), 1e7)),
    "shares_over": ("shares.expire", lambda d, _: shares.expire(d, NO_LIMIT)),
    "speakers_of_voice": (
        "voices.remove",
        lambda d, _: voices.remove(d, some(d, "voices", f"tenant = '{ONE_OF_THEM}'"), tenant=ONE_OF_THEM),
    ),
    "summaries_due": ("summaries.claim_next", lambda d, _: summaries.claim_next(d)),
    "summaries_processing": ("summaries.rescue_expired", lambda d, _: summaries.rescue_expired(d, max_failures=3)),
    "summary_templates_by_name": (
        "summaries.create_template",
        lambda d, _: summaries.create_template(d, tenant="new", name="a", prompt=""),
    ),
    "summary_usage_age": (
        "summaries.expire_usage",
        lambda d, _: summaries.expire_usage(d, NO_LIMIT, after_seconds=4990 * 3600),
    ),
    "summary_usage_of_tenant": ("jobs.usage", lambda d, _: usage(d, ONE_OF_THEM)),
    "uploads_due": ("uploads.expire", lambda d, s: uploads.expire(d, s, NO_LIMIT)),
    "uploads_open": ("uploads.create", lambda d, _: upload(d)),
    "usage_age": ("jobs.usage", lambda d, _: usage(d, None)),
    "usage_daily_age": ("jobs.expire_usage", lambda d, _: jobs.expire_usage(d, NO_LIMIT, after_seconds=3e7)),
    "usage_daily_of_tenant": ("jobs.submit", lambda d, _: submit(d, "tenant", audio_minutes_per_month=1000)),
    "usage_of_model": (
        "Estimates",
        lambda d, _: jobs.Estimates(d).of(jobs.get(d, some(d, "jobs", "status = 'queued'"))),
    ),
    "usage_of_tenant": ("jobs.usage", lambda d, _: usage(d, ONE_OF_THEM)),
    "vocabularies_by_name": ("vocabularies.create", lambda d, _: vocabularies.create(d, tenant="new", name="a")),
    "voice_prints_of_tenant": ("voices.forget_unwanted", lambda d, _: voices.forget_unwanted(d, NO_LIMIT)),
    "voices_by_name": (
        "voices.rename",
        lambda d, _: voices.rename(d, some(d, "voices", "name = 'n206'"), "new", tenant=ONE_OF_THEM),
    ),
}


def test_the_documentation_lists_the_indexes_of_the_schema(filled: Watched) -> None:
    assert set(listed()) == set(existing(filled[0]))


def test_each_index_is_needed_by_a_function_or_is_a_primary_key(filled: Watched) -> None:
    needed = {name for name, is_primary in existing(filled[0]).items() if not is_primary}
    assert set(USES) == needed
    said = listed()
    assert {name for name, (function, _) in USES.items() if f"`{function}`" not in said[name]} == set()


@pytest.mark.parametrize("name", USES)
def test_the_function_uses_the_index(filled: Watched, storage: LocalStorage, name: str) -> None:
    database, plans = filled
    _, call = USES[name]
    plans.notices.clear()
    call(database, storage)
    assert name in plans.indexes(), "\n".join(plans.notices)
