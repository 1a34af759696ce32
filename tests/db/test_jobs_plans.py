"""Every query of a hot path finds its rows by an index.

The plans are those of the real calls, from PostgreSQL's auto_explain; each call runs often enough for psycopg to
prepare it and for PostgreSQL to consider a plan without the parameters.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common import jobs, summaries
from common.db import Database
from common.errors import NotFound
from common.job_states import Stage, Status
from common.jobs import Progress, Sort, Worker
from common.storage import LocalStorage
from common.summaries import Wanted
from dev.postgres import Postgres
from tests.db.job_cases import MODEL, NO_LIMIT, WORKER, execute, one, pool_on, rows, submission, with_worker, write_many
from tests.db.plan_cases import Watched, told_by, watched

# Mostly finished jobs, some waiting, a few running: as a service looks after some time.
FILL = """
INSERT INTO jobs (id, created_at, status, model, channels, priority, tags, source_kind, source_url, audio_key,
                  started_at, finished_at, lease_token, lease_worker, lease_expires_at, result_deleted_at, attempts)
SELECT gen_random_uuid(), now() - make_interval(secs => n * 60), s, 'demo-zh', 'mix', n % 10,
       CASE WHEN n % 500 = 0 THEN ARRAY['rare'] ELSE ARRAY['common'] END, 'https', 'https://example.com/a',
       CASE WHEN n % 50 = 0 OR s = 'processing' OR (s = 'queued' AND n % 40 = 0) THEN 'audio/x/y' END, now(),
       CASE WHEN s IN ('completed', 'failed', 'canceled') THEN now() - make_interval(secs => n * 60) END,
       CASE WHEN s = 'processing' THEN gen_random_uuid() END, 'w',
       CASE WHEN s = 'processing' THEN now() + make_interval(secs => n - 100) END,
       CASE WHEN n % 50 = 1 THEN NULL WHEN s IN ('completed', 'failed', 'canceled') THEN now() END, 1
FROM (SELECT n, CASE WHEN n % 20 = 0 THEN 'queued' WHEN n % 1000 = 3 THEN 'processing' WHEN n % 100 = 7 THEN 'failed'
      WHEN n % 100 = 8 THEN 'canceled' ELSE 'completed' END AS s FROM generate_series(1, 20000) n) made;
INSERT INTO attempts (job_id, token, run, number, worker) SELECT id, gen_random_uuid(), 1, 1, 'w' FROM jobs;
INSERT INTO parts (job_id, run, number, start_ms, end_ms, sentences) SELECT id, 1, 0, 0, 1, 1 FROM jobs;
INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words)
SELECT id, 1, n, 0, 0, 1, 1, '', '[]' FROM jobs, generate_series(0, 1) n;
INSERT INTO edits (job_id, run, number, tenant, text, revision) SELECT id, 1, 0, 'default', '', 1 FROM jobs;
INSERT INTO earlier_edits (job_id, run, number, revision, text, edited_at) SELECT id, 1, 0, 0, '', now() FROM jobs;
"""
SUMMARIES = """
INSERT INTO summaries (job_id, tenant, kind, status, due_at, token, lease_expires_at)
SELECT id, 'default', 'minutes', s, now(), CASE WHEN s = 'processing' THEN gen_random_uuid() END,
       CASE WHEN s = 'processing' THEN now() + interval '1 hour' END
FROM (SELECT id, CASE WHEN number % 20 = 0 THEN 'queued' WHEN number % 500 = 3 THEN 'processing' ELSE 'completed' END
      AS s FROM (SELECT id, row_number() OVER () AS number FROM jobs) numbered) made;
INSERT INTO summary_sections (job_id, level, number, last, text)
SELECT job_id, 0, n, n, '' FROM summaries, generate_series(0, 1) n;
"""
BATCHES = """
INSERT INTO batches (id, created_at, tenant, total, refused)
SELECT gen_random_uuid(), now() - make_interval(mins => n), 'default', 20, '[]' FROM generate_series(1, 2000) n;
UPDATE jobs SET audio_sha256 = md5(id::text), audio_ms = abs(hashtext(id::text)),
source_name = CASE WHEN abs(hashtext(id::text)) % 2000 = 0 THEN 'board 7.mp3' ELSE 'call ' || id || '.mp3' END;
UPDATE jobs SET batch_id = (SELECT id FROM batches ORDER BY created_at LIMIT 1) WHERE id IN
(SELECT id FROM jobs ORDER BY created_at LIMIT 20);
"""


@pytest.fixture(scope="module")
def filled(postgres: Postgres) -> Iterator[Watched]:
    with pool_on(postgres) as database:
        write_many(database, FILL)
        write_many(database, BATCHES)
        write_many(database, SUMMARIES)
        with_worker(database, slots=40)
        yield watched(database)


def some(database: Database, status: Status) -> uuid.UUID:
    job_id: uuid.UUID = one(database, f"SELECT id FROM jobs WHERE status = '{status}' LIMIT 1")
    return job_id


def cursor(database: Database) -> str | None:
    return jobs.page(database, limit=50).next_cursor


def second(database: Database, **filters: Any) -> None:
    cursor = jobs.page(database, limit=50, **filters).next_cursor
    assert len(jobs.page(database, limit=50, after=cursor, **filters).jobs) == 50


def relabel(database: Database) -> None:
    job = jobs.get(database, some(database, Status.FAILED))
    assert jobs.relabel(database, job.id, tenant="default", tags=[uuid.uuid4().hex]).tags != job.tags


def request_summary(database: Database) -> None:
    query = "SELECT job_id FROM summaries JOIN jobs ON jobs.id = job_id WHERE {} LIMIT 1"
    ready = "summaries.status = 'completed' AND jobs.status = 'completed' AND result_deleted_at IS NULL"
    made = summaries.request(database, one(database, query.format(ready)), Wanted("todos"), tenant="default")
    assert made.status is Status.QUEUED


def batch_of(database: Database) -> uuid.UUID:
    batch_id: uuid.UUID = one(database, "SELECT batch_id FROM jobs WHERE batch_id IS NOT NULL LIMIT 1")
    return batch_id


def earlier(database: Database) -> None:
    [[sha256], *_] = rows(
        database, "SELECT audio_sha256 FROM jobs WHERE status = 'completed' AND result_deleted_at IS NULL LIMIT 1"
    )
    assert jobs.find_duplicate(database, submission(audio_sha256=sha256)) is not None


def claim_next(database: Database) -> None:
    ready = one(database, "SELECT id FROM jobs WHERE status = 'queued' AND audio_key IS NOT NULL LIMIT 1")
    held = jobs.claim(database, ready, worker="w", model=MODEL, lease_seconds=60)
    assert held is not None


def claim_following(database: Database) -> None:
    execute(database, "UPDATE workers SET slots = slots + 10, heartbeat_at = now()")
    following = jobs.claim_next(
        database, jobs.Holder(WORKER, MODEL, 60.0), jobs.DispatchLimits(60, 0), token=uuid.uuid4()
    )
    assert following.claim is not None


def renew(database: Database) -> None:
    held = rows(database, "SELECT lease_token FROM jobs WHERE status = 'processing' LIMIT 4")
    progress = [Progress(token, Stage.TRANSCRIBING, 1, None) for [token] in held]
    worker = Worker("w", MODEL, "r1", "fp32", "cpu", 40)
    assert len(jobs.renew(database, worker, progress, lease_seconds=-1, draining=False).held) == 4


def dispatch(database: Database) -> None:
    execute(database, "UPDATE workers SET slots = slots + 10, heartbeat_at = now()")
    assert jobs.dispatch(database, lambda _id, _model: None, redispatch_seconds=60, tenant_slot_share=0.5) > 0


def claim_links(database: Database) -> None:
    holder = jobs.Holder("w", MODEL, 60.0)
    limits = jobs.DownloadLimits(2, 8, 1)
    assert len(jobs.claim_links(database, holder, 4, downloading=Counter(), limits=limits)) == 1  # its tenant has stock


def stuck(database: Database) -> None:
    execute(database, "UPDATE workers SET heartbeat_at = now()")
    # One that was announced although it has waited long, so that the attempts of its model are read.
    execute(
        database,
        "UPDATE jobs SET dispatched_at = now() WHERE id = (SELECT id FROM jobs WHERE status = 'queued' LIMIT 1)",
    )
    jobs.find_stuck(database, progress_seconds=900, redispatch_seconds=15)


def correct(database: Database) -> None:
    job = jobs.get(database, some(database, Status.FAILED))
    # So many revisions that the earliest are forgotten.
    words = one(database, "UPDATE edits SET revision = revision + 500 WHERE job_id = :id RETURNING text", id=job.id)
    assert jobs.correct(database, job, 0, f"{words}.").text == f"{words}."


CALLS: dict[str, tuple[Callable[[Database], object], set[str]]] = {
    "newest": (lambda d: jobs.page(d, limit=20), {"jobs_newest"}),
    "newest after a cursor": (lambda d: jobs.page(d, limit=20, after=cursor(d)), {"jobs_newest"}),
    "by status": (lambda d: jobs.page(d, limit=20, status=Status.FAILED), {"jobs_by_status"}),
    "by rare tag": (lambda d: jobs.page(d, limit=20, tag="rare"), {"job_tags_newest", "jobs_pkey"}),
    "by common tag": (lambda d: jobs.page(d, limit=20, tag="common"), {"job_tags_newest", "jobs_pkey"}),
    "by tag after a cursor": (
        lambda d: jobs.page(d, limit=20, tag="common", after=cursor(d)),
        {"job_tags_newest", "jobs_pkey"},
    ),
    "by tag of a day": (
        lambda d: jobs.page(d, tag="common", created_from=datetime.now(UTC) - timedelta(days=3)),
        {"job_tags_newest", "jobs_pkey"},
    ),
    "by status and tag": (lambda d: jobs.page(d, limit=20, status=Status.FAILED, tag="rare"), {"job_tags_newest"}),
    "of a day": (
        lambda d: jobs.page(d, created_from=datetime.now(UTC) - timedelta(days=3), created_to=datetime.now(UTC)),
        {"jobs_newest"},
    ),
    "oldest": (lambda d: jobs.page(d, sort=Sort.OLDEST), {"jobs_newest"}),
    "longest": (lambda d: jobs.page(d, sort=Sort.LONGEST), {"jobs_longest"}),
    "longest after a cursor": (lambda d: second(d, sort=Sort.LONGEST), {"jobs_longest"}),
    "by name": (lambda d: jobs.page(d, sort=Sort.NAME), {"jobs_by_name"}),
    "by name after a cursor": (lambda d: second(d, sort=Sort.NAME), {"jobs_by_name"}),
    "with a rare name": (lambda d: jobs.page(d, name="board 7"), {"jobs_name_search"}),
    "with a rare name, by name": (lambda d: jobs.page(d, name="board 7", sort=Sort.NAME), {"jobs_name_search"}),
    "with a common name": (lambda d: jobs.page(d, name="call"), {"jobs_newest"}),
    "with previews": (lambda d: jobs.page(d, previews=True), {"jobs_newest", "sentences_pkey"}),
    "relabel": (relabel, {"jobs_pkey", "job_tags_pkey"}),
    "of a batch": (lambda d: jobs.page(d, batch_id=batch_of(d)), {"jobs_of_batch"}),
    "batch": (lambda d: jobs.get_batch(d, batch_of(d), tenant="default"), {"batches_pkey", "jobs_of_batch"}),
    "batches": (lambda d: jobs.batch_page(d, tenant="default"), {"batches_newest", "jobs_of_batch"}),
    "earlier with the same audio": (earlier, {"jobs_by_audio"}),
    "get": (lambda d: jobs.get(d, some(d, Status.FAILED)), {"jobs_pkey"}),
    "attempts": (lambda d: jobs.attempts(d, some(d, Status.FAILED)), {"attempts_pkey"}),
    "sentences": (
        lambda d: list(jobs.sentences(d, jobs.get(d, some(d, Status.FAILED)))),
        {"sentences_pkey", "edits_pkey"},
    ),
    "correct": (correct, {"sentences_pkey", "edits_pkey", "earlier_edits_pkey", "summaries_pkey"}),
    "summary": (lambda d: summaries.of_job(d, some(d, Status.FAILED)), {"summaries_pkey"}),
    "request a summary": (request_summary, {"jobs_pkey"}),
    "claim a summary": (summaries.claim_next, {"summaries_due", "summaries_pkey"}),
    "take back summaries": (lambda d: summaries.rescue_expired(d, max_failures=3), {"summaries_processing"}),
    "history": (
        lambda d: jobs.history(d, jobs.get(d, some(d, Status.FAILED)), 0),
        {"sentences_pkey", "edits_pkey", "earlier_edits_pkey"},
    ),
    "cancel": (lambda d: jobs.cancel(d, some(d, Status.CANCELED)), {"jobs_pkey"}),
    "dispatch": (dispatch, {"jobs_waiting", "jobs_announced", "jobs_suspect", "jobs_newest"}),
    "claim": (claim_next, {"jobs_pkey", "parts_pkey"}),
    "claim the next": (claim_following, {"jobs_waiting", "jobs_announced", "jobs_suspect", "jobs_pkey"}),
    "undo a claim": (lambda d: jobs.abandon_claim(d, "w", uuid.uuid4()), {"jobs_processing"}),
    "claim links": (claim_links, {"jobs_to_fetch", "jobs_waiting", "jobs_pkey"}),
    "renew": (renew, {"jobs_processing"}),
    "figures": (jobs.queue_stats, {"jobs_processing", "jobs_waiting", "jobs_to_fetch"}),
    "stuck": (stuck, {"jobs_waiting", "jobs_to_fetch", "jobs_announced", "jobs_processing", "attempts_pkey"}),
    "take back leases": (lambda d: jobs.rescue_expired(d), {"jobs_processing"}),
    "expire results": (lambda d: jobs.expire_results(d, NO_LIMIT, after_seconds=1_150_000), {"jobs_ended_with_result"}),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_reads_an_index_and_never_a_whole_table(filled: Watched, name: str) -> None:
    call, wanted = CALLS[name]
    plans = told_by(filled, call)
    assert not plans.sequential(), "\n".join(plans.sequential())
    assert wanted <= plans.indexes(), "\n".join(plans.notices)


def test_expiring_audio_reads_an_index(filled: Watched, tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    plans = told_by(filled, lambda d: jobs.expire_audio(d, storage, NO_LIMIT, after_seconds=1_190_000))
    assert "jobs_ended_with_audio" in plans.indexes(), "\n".join(plans.notices)
    assert not plans.sequential()


def test_deleting_a_job_reads_indexes_of_every_table(filled: Watched, tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    plans = told_by(filled, lambda d: jobs.delete_job(d, storage, some(d, Status.FAILED)))
    assert {
        "jobs_pkey",
        "parts_pkey",
        "sentences_pkey",
        "edits_pkey",
        "job_tags_pkey",
        "summaries_pkey",
    } <= plans.indexes()
    assert not plans.sequential(), "\n".join(plans.sequential())
    with pytest.raises(NotFound):
        jobs.get(filled[0], uuid.uuid4())


def test_a_page_of_the_machines_sentences_reads_no_others(filled: Watched) -> None:
    job = jobs.get(filled[0], some(filled[0], Status.COMPLETED))
    # After the statistics, which know of no such job.
    write_many(
        filled[0],
        "INSERT INTO sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words) "
        "SELECT :id, 1, n, 0, 0, 1, 1, '', '[]' FROM generate_series(2, 20000) n",
        id=job.id,
    )
    write_many(
        filled[0],
        "INSERT INTO machine_sentences (job_id, run, number, channel, start_ms, end_ms, confidence, text, words) "
        "SELECT job_id, run, number, channel, start_ms, end_ms, confidence, text, words FROM sentences "
        "WHERE job_id = :id AND number % 100 > 0",
        id=job.id,
    )
    plans = told_by(filled, lambda d: jobs.sentences_after(d, job, 99, limit=100, machine=True))
    assert {"sentences_pkey", "machine_sentences_pkey"} <= plans.indexes()
    assert plans.most_rows() <= 1000, "\n".join(plans.notices)
    read = jobs.sentences_after(filled[0], job, 99, limit=100, machine=True)
    assert [item.number for item in read] == list(range(100, 200))
