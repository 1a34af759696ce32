"""Places in the line and times until jobs are done: estimates that agree with what dispatch then does."""

from __future__ import annotations

import uuid

import pytest

from common import jobs
from common.db import Database
from common.job_states import Stage
from common.jobs import Estimate, Estimates, Job, Progress, Worker
from common.jobs.scheduling import estimates as module
from tests.db.job_cases import (
    MODEL,
    WORKER,
    at_once,
    canceled,
    claimed,
    complete,
    completed,
    execute,
    failed,
    submitted,
    suspect,
    with_worker,
)


def estimate(database: Database, job: Job) -> Estimate:
    """A fresh one."""
    return Estimates(database).of(jobs.get(database, job.id))


def position(database: Database, job: Job) -> int | None:
    return estimate(database, job).position


def eta(database: Database, job: Job) -> int | None:
    return estimate(database, job).eta_seconds


def measured(database: Database, *runs: tuple[int, int], model: str = MODEL) -> None:
    """Completed runs of (milliseconds of audio, milliseconds of processing)."""
    for audio_ms, processing_ms in runs:
        execute(
            database,
            "INSERT INTO usage (job_id, run, tenant, model, tags, status, audio_ms, processing_ms) "
            "VALUES (gen_random_uuid(), 1, 'default', :model, '{}', 'completed', :audio_ms, :processing_ms)",
            model=model,
            audio_ms=audio_ms,
            processing_ms=processing_ms,
        )


def report_progress(database: Database, held: jobs.Claim, processed_ms: int, declared_ms: int | None) -> None:
    progress = Progress(held.token, Stage.TRANSCRIBING, processed_ms, declared_ms)
    worker = Worker(WORKER, MODEL, "r1", "fp32", "cpu", 2)
    jobs.renew(database, worker, [progress], lease_seconds=600, draining=False)


def many(database: Database, number: int, tenant: str = "default") -> None:
    execute(
        database,
        "INSERT INTO jobs (id, tenant, created_at, model, channels, source_kind, audio_key) "
        "SELECT gen_random_uuid(), :tenant, now() - interval '1 hour', 'demo-zh', 'mix', 'upload', 'audio/x/upload' "
        "FROM generate_series(1, :number)",
        number=number,
        tenant=tenant,
    )


def test_only_waiting_jobs_have_a_position(database: Database) -> None:
    waiting = submitted(database)
    assert position(database, waiting) == 1
    for job in (completed(database), failed(database), canceled(database)):
        assert estimate(database, job) == Estimate()
    held = claimed(database, waiting)
    assert position(database, held.job) is None
    jobs.try_again(database, held, code="c", message="m", pause_seconds=60, stage_ms={})
    assert estimate(database, held.job) == Estimate()


def test_positions_are_the_order_of_dispatch(database: Database) -> None:
    made = [
        submitted(database, tenant=tenant, priority=priority)
        for tenant, priority in (("a", 5), ("a", 5), ("a", 5), ("b", 5), ("a", 0), ("b", 9), ("c", 5), ("b", 5))
    ]
    claimed(database, submitted(database, tenant="c"), worker="another")
    expected = {position(database, job): job.id for job in made}
    assert sorted(expected) == list(range(1, 9))  # type: ignore[type-var]
    with_worker(database, slots=20)
    announced_ids: list[uuid.UUID] = []
    jobs.dispatch(database, lambda job_id, _model: announced_ids.append(job_id), redispatch_seconds=15)
    assert [expected[place] for place in range(1, 9)] == announced_ids


def test_announced_jobs_are_before_all_others(database: Database) -> None:
    with_worker(database, slots=1)
    first = submitted(database)
    jobs.dispatch(database, lambda _id, _model: None, redispatch_seconds=15)
    later = submitted(database, priority=9)
    assert (position(database, first), position(database, later)) == (1, 2)


def test_the_far_end_is_not_counted(database: Database) -> None:
    many(database, 999)
    last = submitted(database)
    behind = submitted(database)
    assert estimate(database, last) == Estimate(1000)
    assert estimate(database, behind) == Estimate(None, far=True)


@pytest.mark.parametrize("tenants", [1, 7, 300])
def test_one_job_of_a_small_tenant_is_not_at_the_far_end(database: Database, tenants: int) -> None:
    for number in range(tenants):
        many(database, 3000 // tenants, f"t{number:03}")
    job = submitted(database, tenant="zz")
    place = position(database, job)
    assert place is not None
    assert place <= tenants + 1


def test_an_uneven_line_is_read_to_its_end(database: Database) -> None:
    """Many tenants with one job each, and two with more than their share."""
    for number in range(50):
        many(database, 1, f"t{number:02}")
    many(database, 400, "x")
    many(database, 300, "y")
    last = submitted(database, tenant="x")
    assert position(database, last) == 751


def test_each_model_has_a_line_of_its_own(database: Database) -> None:
    many(database, 5)
    assert position(database, submitted(database, model="large")) == 1


def test_nothing_is_known_of_times_without_a_worker_or_a_measure(database: Database) -> None:
    job = submitted(database)
    assert eta(database, job) is None
    with_worker(database)
    assert eta(database, job) is None
    measured(database, (60_000, 6_000), model="another")
    assert eta(database, job) is None
    measured(database, (60_000, 6_000))
    assert eta(database, job) == 6
    execute(database, "UPDATE workers SET heartbeat_at = now() - interval '31 seconds'")
    assert eta(database, job) is None


def test_times_come_from_the_speed_and_the_median_of_what_ran(database: Database) -> None:
    """Speed 10; the median length is a minute, although the mean is far from it; two slots."""
    with_worker(database, slots=2)
    measured(database, (60_000, 6_000), (10_000, 1_000), (600_000, 60_000), (60_000, 6_000), (0, 0))
    made = [submitted(database) for _ in range(5)]
    assert [eta(database, job) for job in made] == [6, 6, 12, 12, 18]


def test_a_running_job_counts_with_what_it_has_left(database: Database) -> None:
    with_worker(database, slots=1)
    measured(database, (60_000, 6_000))
    held = claimed(database)
    waiting = submitted(database)
    assert eta(database, held.job) == 6
    report_progress(database, held, 100_000, 300_000)
    execute(database, "UPDATE workers SET slots = 1")
    assert eta(database, held.job) == 20
    assert eta(database, waiting) == 26


def test_a_job_that_is_longer_than_was_thought_has_no_time(database: Database) -> None:
    with_worker(database)
    measured(database, (60_000, 6_000))
    held = claimed(database)
    report_progress(database, held, 61_000, None)
    assert eta(database, held.job) is None


def test_many_questions_are_one_look(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[str] = []
    look = module._look

    def counted(database: Database, model: str) -> module.QueueSnapshot:
        looks.append(model)
        return look(database, model)

    monkeypatch.setattr(module, "_look", counted)
    made = [submitted(database) for _ in range(8)]
    estimates = Estimates(database)
    positions = at_once([lambda job=job: estimates.of(job).position for job in made])  # type: ignore[misc]
    assert positions == list(range(1, 9))
    assert looks == [MODEL]
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    complete(database, claimed(database, made[0]))
    assert estimates.of(made[1]).position == 1
    assert looks == [MODEL, MODEL]


def test_a_job_that_came_after_the_look_is_behind_what_was_seen(database: Database) -> None:
    estimates = Estimates(database)
    first = submitted(database)
    assert estimates.of(first).position == 1
    assert estimates.of(submitted(database)).position == 2


def test_a_suspect_waits_outside_of_the_line(database: Database) -> None:
    usual = submitted(database)
    suspect(database)
    assert position(database, usual) == 1
