"""Scheduling between tenants and limits of keys: a tenant with 10,000 queued jobs delays no other."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import pytest

from common import ids, jobs
from common.db import Database
from tests.db.job_cases import (
    MODEL,
    at_once,
    claimed,
    complete,
    execute,
    one,
    rows,
    submitted,
    with_worker,
)


def announced(database: Database, tenant_max_running: int = 0, tenant_slot_share: float = 1.0) -> list[uuid.UUID]:
    """What one dispatch announces, in order."""
    announced: list[uuid.UUID] = []
    jobs.dispatch(
        database,
        lambda job_id, _model: announced.append(job_id),
        redispatch_seconds=15,
        tenant_max_running=tenant_max_running,
        tenant_slot_share=tenant_slot_share,
    )
    return announced


def tenants_of(database: Database, job_ids: list[uuid.UUID]) -> list[str]:
    return [jobs.get(database, job_id).tenant for job_id in job_ids]


def served(database: Database, number: int, slots: int = 1, **limits: int) -> list[str]:
    """The tenants of the next `number` jobs with that many slots, of which the oldest always ends first."""
    with_worker(database, slots=slots)
    running: list[jobs.Claim] = []
    tenants: list[str] = []
    while len(tenants) < number:
        for job_id in announced(database, **limits):
            running.append(claimed(database, jobs.get(database, job_id)))
            tenants.append(running[-1].job.tenant)
        complete(database, running.pop(0))
    return tenants[:number]


def key(database: Database, tenant: str = "default", max_running: int | None = None) -> uuid.UUID:
    key_id = ids.new_id()
    execute(database, "INSERT INTO tenants (name) VALUES (:name) ON CONFLICT DO NOTHING", name=tenant)
    execute(
        database,
        "INSERT INTO api_keys (id, tenant, name, hash, hint, scopes, max_running) "
        "VALUES (:id, :tenant, 'key', :hash, '', '{}', :max_running)",
        id=key_id,
        tenant=tenant,
        hash=key_id.bytes,
        max_running=max_running,
    )
    return key_id


def many(database: Database, tenant: str, number: int, key_id: uuid.UUID | None = None) -> None:
    execute(
        database,
        "INSERT INTO jobs (id, tenant, key_id, model, channels, source_kind, audio_key) "
        "SELECT gen_random_uuid(), :tenant, CAST(:key_id AS uuid), 'demo-zh', 'mix', 'upload', 'audio/x/upload' "
        "FROM generate_series(1, :number)",
        tenant=tenant,
        number=number,
        key_id=key_id,
    )


@pytest.mark.parametrize("slots", [1, 3])
def test_one_job_does_not_wait_for_ten_thousand_of_another_tenant(database: Database, slots: int) -> None:
    many(database, "large", 10_000)
    submitted(database, tenant="small")
    assert "small" in served(database, slots + 1, slots)


def test_tenants_take_turns_on_one_slot(database: Database) -> None:
    for tenant in ("a", "b", "c"):
        for _ in range(4):
            submitted(database, tenant=tenant)
    tenants = served(database, 9)
    assert Counter(tenants) == {"a": 3, "b": 3, "c": 3}
    assert all(set(tenants[start : start + 3]) == {"a", "b", "c"} for start in (0, 3, 6))


def test_who_comes_later_does_not_catch_up_on_turns_it_never_waited_for(database: Database) -> None:
    for _ in range(10):
        submitted(database, tenant="early")
    served(database, 5)
    for _ in range(10):
        submitted(database, tenant="late")
    assert Counter(served(database, 4)) == {"early": 2, "late": 2}


def test_who_has_fewest_running_is_next(database: Database) -> None:
    with_worker(database, slots=6)
    for _ in range(3):
        claimed(database, submitted(database, tenant="busy"))
    for _ in range(5):
        submitted(database, tenant="busy")
    for _ in range(5):
        submitted(database, tenant="idle")
    assert tenants_of(database, announced(database)) == ["idle", "idle", "idle"]


def test_announced_jobs_count_as_running_ones(database: Database) -> None:
    with_worker(database, slots=2)
    for tenant in ("a", "a", "a", "b", "b"):
        submitted(database, tenant=tenant)
    assert sorted(tenants_of(database, announced(database))) == ["a", "b"]
    with_worker(database, slots=4)
    assert sorted(tenants_of(database, announced(database))) == ["a", "b"]


def test_priority_goes_before_fairness(database: Database) -> None:
    for _ in range(3):
        submitted(database, tenant="a", priority=9)
    submitted(database, tenant="b", priority=5)
    assert served(database, 4) == ["a", "a", "a", "b"]


def test_within_a_tenant_the_oldest_is_first_whatever_its_key(database: Database) -> None:
    keys = [key(database), None, key(database)]
    made = [submitted(database, key_id=keys[number % 3]).id for number in range(9)]
    with_worker(database, slots=9)
    assert announced(database) == made


def test_a_key_runs_no_more_than_it_may_and_the_rest_waits(database: Database) -> None:
    with_worker(database, slots=10)
    limited, free = key(database, max_running=2), key(database)
    made = [submitted(database, key_id=limited) for _ in range(5)]
    others = [submitted(database, key_id=free) for _ in range(2)] + [submitted(database)]
    assert announced(database) == [made[0].id, made[1].id, *(job.id for job in others)]
    held = claimed(database, made[0])
    assert announced(database) == []
    complete(database, held)
    assert announced(database) == [made[2].id]


def test_a_tenant_without_a_limit_of_its_own_has_that_of_the_settings(database: Database) -> None:
    with_worker(database, slots=40)
    for tenant, limit in (("usual", None), ("generous", 4), ("unlimited", 0), ("narrow", 1)):
        execute(database, "INSERT INTO tenants (name) VALUES (:name) ON CONFLICT DO NOTHING", name=tenant)
        execute(database, "UPDATE tenants SET max_running = :limit WHERE name = :name", name=tenant, limit=limit)
        many(database, tenant, 5)
    many(database, "unknown", 5)
    announced(database, tenant_max_running=3)
    assert announced(database, tenant_max_running=3) == [], "what is announced counts as running"
    dispatched = dict(rows(database, "SELECT tenant, count(*) FROM jobs WHERE dispatched_at IS NOT NULL GROUP BY 1"))
    assert dispatched == {"usual": 3, "generous": 4, "unlimited": 5, "narrow": 1, "unknown": 3}


def test_keys_only_narrow_the_limit_of_their_tenant(database: Database) -> None:
    with_worker(database, slots=40)
    narrow, wide, unlimited = key(database, max_running=1), key(database, max_running=50), key(database, max_running=0)
    for key_id in (narrow, wide, unlimited):
        many(database, "default", 5, key_id)
    announced(database, tenant_max_running=6)
    dispatched = dict(rows(database, "SELECT key_id, count(*) FROM jobs WHERE dispatched_at IS NOT NULL GROUP BY 1"))
    assert dispatched[narrow] <= 1
    assert sum(dispatched.values()) == 6


def test_a_full_key_does_not_hold_up_its_tenant_nor_lower_priorities(database: Database) -> None:
    with_worker(database, slots=3)
    limited = key(database, max_running=1)
    many(database, "default", 2000, limited)
    behind = submitted(database)
    low = submitted(database, priority=0)
    first, *rest = announced(database)
    assert jobs.get(database, first).key_id == limited
    assert rest == [behind.id, low.id]


def test_a_limit_holds_over_all_models(database: Database) -> None:
    with_worker(database, slots=3, model="small", worker="a")
    with_worker(database, slots=3, model="large", worker="b")
    limited = key(database, max_running=2)
    for model in ("small", "large"):
        for _ in range(3):
            submitted(database, key_id=limited, model=model)
    assert len(announced(database)) == 2
    assert announced(database) == []


def most_at_once(database: Database, slots: int) -> Counter[uuid.UUID]:
    """Watch until all jobs are completed: the most running and announced jobs of each key, never more than slots."""
    deadline = time.monotonic() + 120
    busy = "status = 'processing' OR (status = 'queued' AND dispatched_at IS NOT NULL)"
    worst: Counter[uuid.UUID] = Counter()
    while one(database, "SELECT count(*) FROM jobs WHERE status <> 'completed'"):
        assert time.monotonic() < deadline
        for key_id, number in rows(database, f"SELECT key_id, count(*) FROM jobs WHERE {busy} GROUP BY 1"):
            worst[key_id] = max(worst[key_id], number)
        assert one(database, f"SELECT count(*) FROM jobs WHERE {busy}") <= slots
    return worst


def beside_a_watch(
    database: Database, slots: int, workers: Sequence[Callable[[threading.Event], None]]
) -> Counter[uuid.UUID]:
    """Run the workers, which end when the event is set, until all jobs are completed; returns `most_at_once`."""
    done, worst = threading.Event(), Counter[uuid.UUID]()

    def safely(call: Callable[[], None]) -> None:
        try:
            call()
        finally:
            done.set()

    at_once(
        [partial(safely, partial(worker, done)) for worker in workers]
        + [partial(safely, lambda: worst.update(most_at_once(database, slots)))]
    )
    return worst


def test_eight_dispatchers_and_workers_at_once_keep_every_limit(database: Database) -> None:
    """Threads dispatch, claim and complete in a heap until everything is done; a sampler looks for a limit broken."""
    limits = {key(database, "a", 2): 2, key(database, "a", 3): 3, key(database, "b", 1): 1}
    with_worker(database, slots=6)
    for key_id in limits:
        many(database, "a" if limits[key_id] > 1 else "b", 12, key_id)
    messages: list[uuid.UUID] = []
    lock = threading.Lock()

    def take(job_id: uuid.UUID, _model: str) -> None:
        with lock:
            messages.append(job_id)

    def work(done: threading.Event) -> None:
        while not done.is_set():
            jobs.dispatch(database, take, redispatch_seconds=600)
            with lock:
                job_id = messages.pop(0) if messages else None
            if job_id is None:
                continue
            held = jobs.claim(database, job_id, worker="worker-1", model=MODEL, lease_seconds=600)
            assert held is not None
            complete(database, held)

    worst = beside_a_watch(database, 6, [work] * 8)
    assert one(database, "SELECT count(*) FROM jobs WHERE status = 'completed'") == 36
    assert all(0 < worst[key_id] <= limit for key_id, limit in limits.items())


def test_paused_tenants_do_not_hold_up_others(database: Database) -> None:
    """More tenants than are asked at a time, all but the last of which wait for a retry."""
    with_worker(database, slots=2)
    for number in range(120):
        submitted(database, tenant=f"t{number:03}")
    execute(database, "UPDATE jobs SET not_before = now() + interval '1 hour' WHERE tenant < 't118'")
    assert sorted(tenants_of(database, announced(database))) == ["t118", "t119"]
