"""No tenant gets more than its share of the slots while others wait."""

from __future__ import annotations

import uuid
from collections import Counter

import pytest
from sqlalchemy import event

from common import jobs
from common.db import Database
from tests.db.job_cases import (
    MODEL,
    claimed,
    complete,
    execute,
    submitted,
    with_worker,
)
from tests.db.test_jobs_fairness import announced, many, tenants_of


def test_high_priorities_get_no_more_than_their_share_while_others_wait(database: Database) -> None:
    with_worker(database, slots=4)
    for _ in range(8):
        submitted(database, tenant="loud", priority=9)
    others = [submitted(database, tenant=name, priority=0) for name in ("a", "b", "a")]
    chosen: list[uuid.UUID] = []
    jobs.dispatch(database, lambda job_id, _: chosen.append(job_id), redispatch_seconds=15.0, tenant_slot_share=0.5)
    names = [jobs.get(database, job_id).tenant for job_id in chosen]
    assert sorted(names) == ["a", "b", "loud", "loud"]
    assert others[0].id in chosen


def test_slots_that_nobody_else_wants_go_to_whoever_has_jobs(database: Database) -> None:
    with_worker(database, slots=4)
    for _ in range(8):
        submitted(database, tenant="loud", priority=9)
    submitted(database, tenant="a")
    chosen: list[uuid.UUID] = []
    jobs.dispatch(database, lambda job_id, _: chosen.append(job_id), redispatch_seconds=15.0, tenant_slot_share=0.5)
    assert len(set(chosen)) == 4
    assert sorted(jobs.get(database, job_id).tenant for job_id in chosen) == ["a", "loud", "loud", "loud"]


def test_a_tenant_alone_gets_all_slots_beside_its_quarantined_jobs(database: Database) -> None:
    for name in ("a", "b"):
        with_worker(database, slots=2, worker=name)
    alone = submitted(database)
    execute(database, "UPDATE jobs SET crashes = 2 WHERE id = :id", id=alone.id)
    for _ in range(5):
        submitted(database)
    chosen: list[uuid.UUID] = []
    jobs.dispatch(database, lambda job_id, _: chosen.append(job_id), redispatch_seconds=15.0, tenant_slot_share=0.5)
    assert len(chosen) == 3
    assert chosen[0] == alone.id


@pytest.mark.parametrize(
    ("other_model", "other_served", "slot_share", "expected"),
    [
        (MODEL, "now()", 0.5, 3),
        (MODEL, "now() - interval '1 hour'", 0.5, 4),
        (MODEL, "NULL", 0.5, 4),
        ("another-model", "now()", 0.5, 4),
        (MODEL, "now()", 1.0, 4),
    ],
)
def test_one_slot_stays_free_for_a_tenant_that_was_served_seconds_ago(
    database: Database, other_model: str, other_served: str, slot_share: float, expected: int
) -> None:
    with_worker(database, slots=4)
    complete(database, claimed(database, submitted(database, tenant="small")))
    execute(database, "UPDATE jobs SET model = :model", model=other_model)
    execute(
        database,
        f"INSERT INTO tenants (name, served_at) VALUES ('small', {other_served}) "
        "ON CONFLICT (name) DO UPDATE SET served_at = excluded.served_at",
    )
    many(database, "large", 10)
    first = announced(database, tenant_slot_share=slot_share)
    assert tenants_of(database, first) == ["large"] * expected
    submitted(database, tenant="small")
    left = announced(database, tenant_slot_share=slot_share)
    assert tenants_of(database, left) == ["small"] * (4 - expected)


def test_a_tenant_that_is_alone_gets_all_slots_again_and_again(database: Database) -> None:
    with_worker(database, slots=4)
    many(database, "large", 10)
    for _ in range(2):
        running = [claimed(database, jobs.get(database, job)) for job in announced(database, tenant_slot_share=0.5)]
        assert len(running) == 4
        for claim in running:
            complete(database, claim)


@pytest.mark.parametrize("share", [1.0, 0.25])
def test_a_dispatch_asks_nothing_twice_when_slots_stay_free(database: Database, share: float) -> None:
    with_worker(database, slots=40)
    for priority in (2, 5):
        for tenant, number in (("a", 12), ("b", 1)):
            for _ in range(number):
                submitted(database, tenant=tenant, priority=priority)
    asked: Counter[str] = Counter()

    def note(_c: object, _u: object, statement: str, values: object, *_: object) -> None:
        asked.update([f"{statement} {values}"])

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        assert len(announced(database, tenant_slot_share=share)) == 26
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    assert [question for question, times in asked.items() if times > 1] == []
