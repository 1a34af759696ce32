"""Which jobs are announced to the workers, and how often."""

from __future__ import annotations

import threading
import uuid

import psycopg
import pytest
from sqlalchemy import text

from common import jobs
from common.db import Database
from common.errors import Unavailable
from common.jobs import Dispatcher
from common.jobs.scheduling import dispatch as dispatch_module
from common.jobs.scheduling.dispatch import DISPATCH_LOCK
from tests.db.job_cases import (
    MODEL,
    at_once,
    claimed,
    execute,
    one,
    submitted,
    with_worker,
)
from tests.waiting import until

INTERVAL = 15.0


class Announced:
    """Records what is published; can be made to fail."""

    def __init__(self) -> None:
        self.ids: list[uuid.UUID] = []
        self.models: list[str] = []
        self.breaks_after: int | None = None
        self._lock = threading.Lock()

    def __call__(self, job_id: uuid.UUID, model: str) -> None:
        with self._lock:
            if self.breaks_after is not None and len(self.ids) >= self.breaks_after:
                raise Unavailable("Redis does not respond")
            self.ids.append(job_id)
            self.models.append(model)


def dispatch(database: Database, announced: Announced) -> int:
    return jobs.dispatch(database, announced, redispatch_seconds=INTERVAL)


def interval_passes(database: Database) -> None:
    execute(database, "UPDATE jobs SET dispatched_at = dispatched_at - interval '15.1 seconds'")


def test_without_a_worker_nothing_is_announced(database: Database) -> None:
    submitted(database)
    announced = Announced()
    assert dispatch(database, announced) == 0
    assert announced.ids == []


@pytest.mark.parametrize("state", ["silent", "draining", "of another model", "gone"])
def test_a_worker_that_takes_no_jobs_counts_for_nothing(database: Database, state: str) -> None:
    with_worker(database, model="other" if state == "of another model" else MODEL)
    if state == "silent":
        execute(database, "UPDATE workers SET heartbeat_at = now() - interval '31 seconds'")
    if state == "draining":
        execute(database, "UPDATE workers SET draining = true")
    if state == "gone":
        jobs.unregister_worker(database, "worker-1")
    submitted(database)
    assert dispatch(database, Announced()) == 0


def test_never_more_than_there_are_free_slots(database: Database) -> None:
    with_worker(database, slots=2, worker="a")
    with_worker(database, slots=3, worker="b")
    claimed(database, worker="a")
    for _ in range(10):
        submitted(database)
    announced = Announced()
    assert dispatch(database, announced) == 4
    assert dispatch(database, announced) == 0
    assert len(set(announced.ids)) == 4


def test_a_slot_that_gets_free_takes_the_next_job(database: Database) -> None:
    with_worker(database, slots=1)
    first, second = submitted(database), submitted(database)
    announced = Announced()
    dispatch(database, announced)
    held = claimed(database, first)
    assert dispatch(database, announced) == 0
    jobs.fail(database, held, code="c", message="m", retryable=False, stage_ms={})
    assert dispatch(database, announced) == 1
    assert announced.ids == [first.id, second.id]


def test_highest_priority_first_then_oldest(database: Database) -> None:
    with_worker(database, slots=5)
    priorities = [3, 9, 5, 9, 0, 5, 9]
    made = [submitted(database, priority=priority) for priority in priorities]
    announced = Announced()
    dispatch(database, announced)
    assert announced.ids == [made[index].id for index in (1, 3, 6, 2, 5)]


def test_each_model_has_its_own_slots(database: Database) -> None:
    with_worker(database, slots=1, model="small", worker="a")
    with_worker(database, slots=2, model="large", worker="b")
    for _ in range(3):
        submitted(database, model="small")
        submitted(database, model="large")
        submitted(database, model="nobody serves this")
    announced = Announced()
    dispatch(database, announced)
    assert sorted(announced.models) == ["large", "large", "small"]


def test_a_job_whose_message_got_lost_is_announced_again_after_the_interval(database: Database) -> None:
    with_worker(database)
    job = submitted(database)
    announced = Announced()
    assert [dispatch(database, announced) for _ in range(2)] == [1, 0]
    interval_passes(database)
    assert [dispatch(database, announced) for _ in range(2)] == [1, 0]
    assert announced.ids == [job.id, job.id]


def test_a_job_in_its_pause_is_not_announced(database: Database) -> None:
    with_worker(database)
    held = claimed(database)
    jobs.try_again(database, held, code="c", message="m", pause_seconds=60, stage_ms={})
    announced = Announced()
    assert dispatch(database, announced) == 0
    execute(database, "UPDATE jobs SET not_before = now()")
    assert dispatch(database, announced) == 1


def test_a_job_that_goes_back_to_the_queue_is_announced_at_once(database: Database) -> None:
    with_worker(database)
    announced = Announced()
    job = submitted(database)
    dispatch(database, announced)
    jobs.release(database, claimed(database, job), stage_ms={})
    assert dispatch(database, announced) == 1


def test_eight_dispatchers_at_once_announce_each_job_once(database: Database) -> None:
    with_worker(database, slots=30)
    made = {submitted(database).id for _ in range(40)}
    announced = Announced()
    sent = at_once([lambda: dispatch(database, announced)] * 8)
    assert sum(sent) == 30
    assert len(announced.ids) == len(set(announced.ids)) == 30
    assert set(announced.ids) <= made


def test_a_broker_that_is_away_leaves_the_jobs_to_the_next_call(database: Database) -> None:
    with_worker(database, slots=4)
    made = [submitted(database).id for _ in range(4)]
    announced = Announced()
    announced.breaks_after = 1
    with pytest.raises(Unavailable):
        dispatch(database, announced)
    assert announced.ids == made[:1]
    announced.breaks_after = None
    assert dispatch(database, announced) == 3
    assert announced.ids == made


def test_a_job_claimed_before_its_announcement_failed_keeps_its_lease(database: Database) -> None:
    with_worker(database)
    job = submitted(database)

    def publish(_id: uuid.UUID, _model: str) -> None:
        claimed(database, job)  # a second message of the same job came through
        raise Unavailable("Redis does not respond")

    with pytest.raises(Unavailable):
        jobs.dispatch(database, publish, redispatch_seconds=INTERVAL)
    assert jobs.get(database, job.id).status == "processing"


def test_waking_a_dispatcher_many_times_is_one_dispatch(database: Database) -> None:
    calls = 0
    entered, go_on = threading.Event(), threading.Event()
    with_worker(database, slots=100)
    submitted(database)

    def publish(_id: uuid.UUID, _model: str) -> None:
        nonlocal calls
        calls += 1
        entered.set()
        go_on.wait(120)

    dispatcher = Dispatcher(database, publish, redispatch_seconds=INTERVAL)
    dispatcher.start()
    try:
        assert entered.wait(120)
        made = submitted(database)
        for _ in range(50):
            dispatcher.wake()
        go_on.set()
        until(lambda: calls == 2)
        until(lambda: one(database, "SELECT dispatched_at IS NOT NULL FROM jobs WHERE id = :id", id=made.id))
    finally:
        go_on.set()
        dispatcher.stop()


def test_a_dispatcher_outlives_whatever_publishing_does(database: Database) -> None:
    with_worker(database)
    job = submitted(database)
    seen: list[uuid.UUID] = []
    errors = [Unavailable("away"), RuntimeError("a defect")]

    def publish(job_id: uuid.UUID, _model: str) -> None:
        if errors:
            raise errors.pop(0)
        seen.append(job_id)

    dispatcher = Dispatcher(database, publish, redispatch_seconds=INTERVAL)
    dispatcher.start()
    try:

        def announced() -> bool:
            dispatcher.wake()
            return seen == [job.id]

        until(announced)
    finally:
        dispatcher.stop()


def test_a_dispatcher_that_never_started_can_be_stopped(database: Database) -> None:
    Dispatcher(database, Announced(), redispatch_seconds=INTERVAL).stop()


LOCK = f"SELECT pg_advisory_xact_lock({DISPATCH_LOCK})"
WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"


def test_beside_a_dispatcher_that_is_about_to_begin_nothing_is_done_twice(database: Database) -> None:
    with_worker(database, slots=1)
    submitted(database)
    announced = Announced()

    def wait_for_the_lock() -> None:
        with psycopg.connect(database.url) as second:
            second.execute(LOCK)

    with psycopg.connect(database.url) as holder:
        holder.execute(LOCK)
        waiting = threading.Thread(target=wait_for_the_lock)
        waiting.start()
        until(lambda: one(database, WAITING) == 1)
        # It does not wait, because the waiting one will find the job.
        assert dispatch(database, announced) == 0
    waiting.join(180)
    assert dispatch(database, announced) == 1


def test_a_job_that_is_submitted_while_a_dispatcher_waits_is_announced_by_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_worker(database, slots=2)
    first = submitted(database)
    announced = Announced()
    patient = f"SELECT set_config('lock_timeout', '180s', true), pg_advisory_xact_lock({DISPATCH_LOCK})"
    monkeypatch.setattr(dispatch_module, "TAKE_LOCK", text(patient))
    with psycopg.connect(database.url) as holder:
        holder.execute(LOCK)
        waiting = threading.Thread(target=dispatch, args=[database, announced])
        waiting.start()
        until(lambda: one(database, WAITING) == 1)
        second = submitted(database)
        assert dispatch(database, Announced()) == 0  # leaves it to the one that waits
    waiting.join(180)
    assert sorted(announced.ids) == sorted([first.id, second.id])


def test_without_a_job_that_waits_the_lock_is_not_asked_for(database: Database) -> None:
    with_worker(database, slots=2)
    submitted(database)
    announced = Announced()
    assert dispatch(database, announced) == 1
    with psycopg.connect(database.url) as holder:
        holder.execute(LOCK)
        assert dispatch(database, announced) == 0  # would raise Unavailable if it waited for the lock
    interval_passes(database)
    assert dispatch(database, announced) == 1
