"""Jobs that may be what kills workers: they run alone, and only what dies alone fails."""

from __future__ import annotations

import uuid

import pytest

from common import jobs
from common.db import Database
from common.errors import WrongState
from common.job_states import Status
from common.jobs import Job
from tests.db.job_cases import (
    MODEL,
    WORKER,
    at_once,
    claimed,
    emptied,
    execute,
    lose,
    one,
    part,
    poisoned,
    rows,
    submitted,
    suspect,
    with_worker,
)


def taken(database: Database, job: Job, worker: str = WORKER) -> jobs.Claim | None:
    return jobs.claim(database, job.id, worker=worker, model=MODEL, lease_seconds=60)


def announced(database: Database) -> list[uuid.UUID]:
    """What one dispatch announces, in order."""
    announced_ids: list[uuid.UUID] = []
    jobs.dispatch(database, lambda job_id, _model: announced_ids.append(job_id), redispatch_seconds=15)
    return announced_ids


def reserved(database: Database) -> dict[str, uuid.UUID]:
    return dict(rows(database, "SELECT id, reserved_for FROM workers WHERE reserved_for IS NOT NULL"))


def test_kills_in_company_lose_no_job_however_many(database: Database) -> None:
    job = submitted(database)
    for _ in range(25):
        assert lose(database, claimed(database, job)) is Status.QUEUED
        # as if another job had been there too: it ran in company
        execute(database, "UPDATE jobs SET crashes = 1, isolated_crashes = 0")
    for _ in range(25):
        held = claimed(database, job)
        execute(database, "UPDATE jobs SET isolated = false")
        assert lose(database, held) is Status.QUEUED
    assert jobs.get(database, job.id).failure is None


def test_who_loses_two_workers_is_a_suspect_and_two_more_alone_are_poison(database: Database) -> None:
    job = submitted(database)
    seen = []
    for _ in range(4):
        held = claimed(database, job)
        seen.append((held.isolated, lose(database, held)))
    assert seen == [
        (False, Status.QUEUED),
        (False, Status.QUEUED),
        (True, Status.QUEUED),
        (True, Status.FAILED),
    ]
    job = jobs.get(database, job.id)
    assert job.failure is not None
    assert (job.failure.code, job.failure.retryable) == ("poison", False)
    assert job.finished_at is not None
    assert [attempt.outcome for attempt in jobs.attempts(database, job.id)] == ["lost"] * 4
    assert one(database, "SELECT status || ' ' || error_code FROM usage") == "failed poison"


def test_a_part_clears_a_suspect_and_lets_others_beside_it(database: Database) -> None:
    job, other = suspect(database), submitted(database)
    held = claimed(database, job)
    assert taken(database, other) is None
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    assert taken(database, other) is not None
    assert lose(database, held) is Status.QUEUED
    assert not claimed(database, job).isolated


def test_losses_alone_at_different_parts_are_not_poison(database: Database) -> None:
    job = submitted(database)
    for number in range(5):
        execute(database, "UPDATE jobs SET crashes = 2")
        held = claimed(database, job)
        assert held.isolated
        assert lose(database, held) is Status.QUEUED
        execute(database, "UPDATE jobs SET crashes = 0")
        held = claimed(database, job)
        jobs.commit_part(database, held, part(number, "一。"), first_sentence=number)
        jobs.release(database, held, stage_ms={})


def test_a_shutdown_while_alone_is_no_loss(database: Database) -> None:
    job = suspect(database)
    for _ in range(5):
        held = claimed(database, job)
        assert held.isolated
        jobs.release(database, held, stage_ms={})
    assert lose(database, claimed(database, job)) is Status.QUEUED


def test_a_retry_of_poison_begins_without_suspicion(database: Database) -> None:
    job = jobs.retry(database, poisoned(database).id)
    held = claimed(database, job)
    assert not held.isolated
    assert lose(database, held) is Status.QUEUED
    with pytest.raises(WrongState):
        jobs.retry(database, job.id)


def test_a_suspect_is_not_claimed_beside_another_job(database: Database) -> None:
    job = suspect(database)
    claimed(database)
    assert taken(database, job) is None
    assert taken(database, job, "idle-worker") is not None


def test_of_many_claims_of_one_worker_at_once_a_suspect_stays_alone(database: Database) -> None:
    for _ in range(5):
        made = [suspect(database), *(submitted(database) for _ in range(7))]
        won = [held for held in at_once([lambda job=job: taken(database, job) for job in made]) if held]  # type: ignore[misc]
        alone = [held for held in won if held.isolated]
        assert len(won) == 1 if alone else len(won) == 7
        emptied(database)


def test_a_message_that_could_not_be_taken_is_sent_again(database: Database) -> None:
    with_worker(database, slots=4)
    job = suspect(database)
    assert announced(database) == [job.id]
    held = claimed(database, submitted(database), worker="another")
    assert announced(database) == []
    assert taken(database, job, "another") is None
    assert announced(database) == [job.id]
    jobs.release(database, held, stage_ms={})


def test_a_worker_is_kept_free_until_the_suspect_can_run(database: Database) -> None:
    with_worker(database, slots=2)
    first, second = claimed(database), claimed(database)
    job = submitted(database)
    execute(database, "UPDATE jobs SET crashes = 2 WHERE id = :id", id=job.id)
    waiting = [submitted(database, priority=9) for _ in range(3)]
    assert announced(database) == []
    assert reserved(database) == {WORKER: job.id}
    jobs.release(database, first, stage_ms={})
    assert announced(database) == []
    assert taken(database, waiting[0]) is None  # an old message of it
    jobs.release(database, second, stage_ms={})
    assert announced(database) == [job.id]
    held = claimed(database, job)
    assert held.isolated
    assert announced(database) == []
    jobs.fail(database, held, code="c", message="m", retryable=False, stage_ms={})
    assert announced(database) == [waiting[0].id, waiting[1].id]
    assert reserved(database) == {}


def test_other_workers_go_on_while_one_is_kept_free(database: Database) -> None:
    for name in ("a", "b", "c", "d"):
        with_worker(database, slots=2, worker=name)
    claimed(database, worker="a")
    suspects = [submitted(database) for _ in range(6)]
    execute(database, "UPDATE jobs SET crashes = 2 WHERE status = 'queued'")
    usual = [submitted(database) for _ in range(10)]
    announced_ids = announced(database)
    kept = reserved(database)
    assert len(kept) == 2
    assert "a" not in kept
    assert set(kept.values()) == {suspects[0].id, suspects[1].id}
    assert announced_ids == [suspects[0].id, suspects[1].id, usual[0].id, usual[1].id, usual[2].id]


@pytest.mark.parametrize("end", ["canceled", "worker gone"])
def test_a_reservation_ends_with_its_job_or_its_worker(database: Database, end: str) -> None:
    with_worker(database, slots=1)
    held = claimed(database)
    job = submitted(database)
    execute(database, "UPDATE jobs SET crashes = 2 WHERE id = :id", id=job.id)
    announced(database)
    assert reserved(database) == {WORKER: job.id}
    if end == "canceled":
        jobs.cancel(database, job.id)
        announced(database)
        assert reserved(database) == {}
    else:
        execute(database, "UPDATE workers SET heartbeat_at = now() - interval '31 seconds'")
        with_worker(database, worker="new")
        assert announced(database) == [job.id]
        assert reserved(database)["new"] == job.id
    jobs.release(database, held, stage_ms={})


def test_eight_dispatchers_at_once_reserve_one_worker_for_a_suspect(database: Database) -> None:
    for name in "abcd":
        with_worker(database, slots=2, worker=name)
    job = submitted(database)
    execute(database, "UPDATE jobs SET crashes = 2")
    batches = at_once([lambda: announced(database)] * 8)
    assert [job_id for batch in batches for job_id in batch] == [job.id]
    assert list(reserved(database).values()) == [job.id]


def test_a_worker_that_comes_back_takes_the_suspicion_away(database: Database) -> None:
    """Frozen twice in company and twice alone, it was never dead: nothing is left of it."""
    job = submitted(database)
    for _ in range(6):
        held = claimed(database, job)
        assert lose(database, held) is Status.QUEUED
        assert jobs.forgive_crash(database, job.id, held.token)
        assert not jobs.forgive_crash(database, job.id, held.token)
    assert rows(database, "SELECT crashes, isolated_crashes FROM jobs") == [(0, 0)]
    job = suspect(database, job)
    held = claimed(database, job)
    lose(database, held)
    assert rows(database, "SELECT crashes, isolated_crashes FROM jobs") == [(3, 1)]
    assert jobs.forgive_crash(database, job.id, held.token)
    assert rows(database, "SELECT crashes, isolated_crashes FROM jobs") == [(2, 0)]


def test_only_a_lost_attempt_of_the_present_run_is_forgiven(database: Database) -> None:
    held = claimed(database)
    assert not jobs.forgive_crash(database, held.job.id, held.token)
    assert not jobs.forgive_crash(database, held.job.id, uuid.uuid4())
    lose(database, held)
    jobs.cancel(database, held.job.id)
    job = jobs.retry(database, held.job.id)
    lose(database, claimed(database, job))
    jobs.forgive_crash(database, held.job.id, held.token)
    assert rows(database, "SELECT crashes FROM jobs") == [(1,)]
