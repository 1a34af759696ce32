"""The job that a worker's thread claims itself when its slot gets free: the one that dispatch would announce."""

from __future__ import annotations

import threading
import uuid
from functools import partial

import pytest
from sqlalchemy import func, select, text

from common import jobs
from common.db import Database
from common.job_states import Status
from common.jobs import Claim, DispatchLimits, Holder, NextClaim
from common.jobs.lifecycle.claims import CLAIM_LOCK
from common.jobs.scheduling.dispatch import DISPATCH_LOCK
from tests.db.job_cases import (
    LONG,
    MODEL,
    WORKER,
    claimed,
    complete,
    execute,
    one,
    rows,
    submitted,
    suspect,
    with_worker,
)
from tests.db.test_jobs_fairness import announced, beside_a_watch, key, many, served
from tests.waiting import until

LIMITS = DispatchLimits(redispatch_seconds=15, tenant_max_running=0)


def following(
    database: Database, worker: str = WORKER, limits: DispatchLimits = LIMITS, *, model: str = MODEL
) -> NextClaim:
    return jobs.claim_next(database, Holder(worker, model, LONG), limits, token=uuid.uuid4())


def next_of(database: Database, worker: str = WORKER, limits: DispatchLimits = LIMITS) -> Claim | None:
    return following(database, worker, limits).claim


def queue_of_many_kinds(database: Database) -> None:
    """Tenants, priorities and keys with limits."""
    limited = key(database, "a", max_running=1)
    for number in range(12):
        tenant = "abc"[number % 3]
        priority = 9 if number in {4, 7} else 5
        submitted(database, tenant=tenant, priority=priority, key_id=limited if number == 3 else None)


def test_the_order_is_that_of_dispatch(database: Database) -> None:
    queue_of_many_kinds(database)
    by_dispatch = served(database, 12)
    execute(database, "DELETE FROM jobs")
    execute(database, "UPDATE tenants SET served_at = NULL")
    execute(database, "DELETE FROM api_keys")
    queue_of_many_kinds(database)
    by_claims = []
    while (held := next_of(database)) is not None:
        by_claims.append(held.job.tenant)
        complete(database, held)
    assert by_claims == by_dispatch


def test_a_claim_is_a_claim(database: Database) -> None:
    with_worker(database)
    job = submitted(database)
    held = next_of(database)
    assert held is not None
    assert (held.job.id, held.attempt, held.resume, held.sentences, held.spent_ms) == (job.id, 1, None, 0, 0)
    assert jobs.get(database, job.id).status is Status.PROCESSING
    assert jobs.claim(database, job.id, worker=WORKER, model=MODEL, lease_seconds=LONG) is None  # a message of it
    complete(database, held)
    (attempt,) = jobs.attempts(database, job.id)
    assert attempt.worker == WORKER


def test_slots_of_announced_jobs_are_left_to_them(database: Database) -> None:
    with_worker(database, slots=2)
    waiting = [submitted(database) for _ in range(3)]
    assert announced(database) == [waiting[0].id, waiting[1].id]
    assert next_of(database) is None
    held = claimed(database, waiting[0])
    assert next_of(database) is None
    complete(database, held)
    taken = next_of(database)
    assert taken is not None
    assert taken.job.id == waiting[2].id
    assert one(database, "SELECT count(*) FROM jobs WHERE dispatched_at IS NOT NULL") == 1


def test_other_workers_free_slots_are_left_to_dispatch(database: Database) -> None:
    with_worker(database, slots=1)
    with_worker(database, slots=1, worker="other")
    waiting = [submitted(database) for _ in range(2)]
    found = following(database)
    assert found.claim is not None
    assert (found.claim.job.id, found.more) == (waiting[0].id, True)
    assert announced(database) == [waiting[1].id]


def test_the_last_slot_needs_no_dispatch(database: Database) -> None:
    with_worker(database, slots=2)
    for _ in range(3):
        submitted(database)
    assert [following(database).more for _ in range(2)] == [False, False]
    assert next_of(database) is None


@pytest.mark.parametrize("state", ["draining", "silent", "gone", "full"])
def test_a_worker_that_takes_no_jobs_gets_none(database: Database, state: str) -> None:
    with_worker(database, slots=1)
    with_worker(database, slots=1, worker="other")
    if state == "draining":
        jobs.ask_to_drain(database, WORKER, jobs.Drain.STAY)
    if state == "silent":
        execute(database, "UPDATE workers SET heartbeat_at = now() - interval '31 seconds' WHERE id = :id", id=WORKER)
    if state == "gone":
        jobs.unregister_worker(database, WORKER)
    if state == "full":
        claimed(database)
    submitted(database)
    assert following(database) == NextClaim(None, more=True)


def test_jobs_that_are_not_for_a_slot_of_this_model_are_left_alone(database: Database) -> None:
    with_worker(database, slots=4)
    submitted(database, model="another")
    submitted(database, source_kind="http", url="https://example.com/a.mp3", audio_key=None)
    canceled = submitted(database)
    jobs.cancel(database, canceled.id)
    later = submitted(database)
    execute(database, "UPDATE jobs SET not_before = now() + interval '1 minute' WHERE id = :id", id=later.id)
    assert next_of(database) is None


@pytest.mark.parametrize("limit", ["of the key", "of the tenant"])
def test_limits_of_running_jobs_are_kept(database: Database, limit: str) -> None:
    with_worker(database, slots=4)
    limited = key(database, "a", max_running=1) if limit == "of the key" else None
    many(database, "a", 3, limited)
    limits = DispatchLimits(15, tenant_max_running=0 if limited else 1)
    held = next_of(database, limits=limits)
    assert held is not None
    assert next_of(database, limits=limits) is None
    complete(database, held)
    assert next_of(database, limits=limits) is not None


def test_a_tenant_with_its_share_of_the_slots_leaves_the_next_to_others(database: Database) -> None:
    with_worker(database, slots=4)
    for _ in range(2):
        claimed(database, submitted(database, tenant="a"))
    submitted(database, tenant="a", priority=9)
    other = submitted(database, tenant="b")
    held = next_of(database, limits=DispatchLimits(15, 0, tenant_slot_share=0.5))
    assert held is not None
    assert held.job.id == other.id


def test_a_worker_that_is_kept_for_a_suspect_takes_no_other(database: Database) -> None:
    with_worker(database, slots=2)
    running = claimed(database)
    job = suspect(database)
    submitted(database, priority=9)
    assert following(database) == NextClaim(None, more=True)
    assert rows(database, "SELECT id, reserved_for FROM workers") == [(WORKER, job.id)]
    complete(database, running)
    assert following(database) == NextClaim(None, more=True)  # it comes by a message, which dispatch sends
    assert announced(database) == [job.id]
    alone = claimed(database, job)
    assert alone.isolated
    assert following(database) == NextClaim(None, more=True)
    complete(database, alone)
    assert next_of(database) is not None


def test_a_suspect_comes_before_other_jobs_of_its_key(database: Database) -> None:
    with_worker(database, slots=1)
    with_worker(database, slots=2, worker="other")
    limited = key(database, "a", max_running=1)
    claimed(database, worker="other")  # so that the idle worker is reserved
    job = suspect(database, submitted(database, tenant="a", key_id=limited))
    submitted(database, tenant="a", key_id=limited, priority=9)
    assert following(database, "other") == NextClaim(None, more=True)
    assert announced(database) == [job.id]


def test_nobody_waits_for_its_worker_with_the_lock_of_dispatchers(database: Database) -> None:
    with_worker(database, slots=1)
    with_worker(database, slots=1, worker="other")
    waiting = [submitted(database) for _ in range(2)]
    found: list[NextClaim] = []
    thread = threading.Thread(target=lambda: found.append(following(database)))
    with database.transaction() as session:
        session.execute(select(func.pg_advisory_xact_lock(CLAIM_LOCK, func.hashtext(WORKER))))
        thread.start()
        query = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND classid = :lock"
        until(lambda: one(database, query, lock=CLAIM_LOCK) == 1)
        held = next_of(database, "other")
    thread.join(120)
    assert held is not None
    assert [held.job.id, *(item.claim.job.id for item in found if item.claim)] == [job.id for job in waiting]


def test_while_another_dispatches_nobody_waits(database: Database) -> None:
    with_worker(database)
    submitted(database)
    with database.transaction() as session:
        session.execute(text(f"SELECT pg_advisory_xact_lock({DISPATCH_LOCK})"))
        assert following(database) == NextClaim(None, more=True)
    assert next_of(database) is not None


def test_without_a_job_that_waits_there_is_nothing_to_dispatch(database: Database) -> None:
    with_worker(database)
    claimed(database)
    assert following(database) == NextClaim(None, more=False)


def test_a_job_that_another_transaction_changes_is_passed_over(database: Database) -> None:
    with_worker(database)
    job = submitted(database)
    with database.transaction() as session:
        session.execute(text("SELECT FROM jobs WHERE id = :id FOR UPDATE"), {"id": job.id})
        assert following(database) == NextClaim(None, more=True)  # dispatch may find it free


def test_a_claim_whose_answer_got_lost_is_undone_without_its_job(database: Database) -> None:
    with_worker(database)
    job, token = submitted(database), uuid.uuid4()
    assert jobs.claim_next(database, Holder(WORKER, MODEL, LONG), LIMITS, token=token).claim is not None
    jobs.abandon_claim(database, WORKER, token)
    assert jobs.get(database, job.id).status is Status.QUEUED
    assert jobs.attempts(database, job.id) == []


def test_threads_that_claim_and_dispatchers_keep_every_limit_and_lose_no_job(database: Database) -> None:
    """Threads of two workers take messages and what comes next, until everything is done, beside a sampler."""
    slots, limits = 3, {key(database, "a", 2): 2, key(database, "b", 1): 1}
    for key_id, limit in limits.items():
        many(database, "a" if limit == 2 else "b", 15, key_id)
    many(database, "c", 15)
    for worker in ("one", "two"):
        with_worker(database, slots=slots, worker=worker)
    messages: list[uuid.UUID] = []
    lock = threading.Lock()

    def take(job_id: uuid.UUID, _model: str) -> None:
        with lock:
            messages.append(job_id)

    def message_of(worker: str) -> Claim | None:
        jobs.dispatch(database, take, redispatch_seconds=600)
        with lock:
            job_id = messages.pop(0) if messages else None
        if job_id is None:
            return None
        return jobs.claim(database, job_id, worker=worker, model=MODEL, lease_seconds=LONG)

    def work(worker: str, done: threading.Event) -> None:
        while not done.is_set():
            held = message_of(worker)
            while held is not None:
                complete(database, held)
                held = next_of(database, worker, DispatchLimits(600, 0))

    workers = [partial(work, name) for name in ("one", "two") for _ in range(slots)]
    worst = beside_a_watch(database, 2 * slots, workers)
    assert one(database, "SELECT count(*) FROM jobs WHERE status = 'completed' AND attempts = 1") == 45
    assert all(0 < worst[key_id] <= limit for key_id, limit in limits.items())
