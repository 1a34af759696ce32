"""What operators do: queue jobs again, drain workers, and see what is stuck."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from common import jobs, webhooks
from common.db import Database
from common.errors import Expired, NotFound, WrongState
from common.job_states import Outcome, Status
from common.jobs import Drain, LeaseLost, StuckKind, Worker
from common.webhooks import Overdue
from dev.postgres import Postgres
from tests.db.job_cases import (
    MODEL,
    WORKER,
    claimed,
    completed,
    emptied,
    execute,
    one,
    part,
    pool_on,
    rows,
    submitted,
    suspect,
)

ME = Worker(WORKER, MODEL, "r1", "fp32", "cpu", 2)


@pytest.fixture(scope="module")
def pool(postgres: Postgres) -> Iterator[Database]:
    with pool_on(postgres) as database:
        yield database


@pytest.fixture
def database(pool: Database) -> Database:
    execute(pool, "DELETE FROM deliveries")
    return emptied(pool)


def announced(database: Database) -> list[uuid.UUID]:
    announced: list[uuid.UUID] = []
    jobs.dispatch(database, lambda job_id, _model: announced.append(job_id), redispatch_seconds=15)
    return announced


def heartbeat(database: Database, *, draining: bool = False) -> Drain | None:
    return jobs.renew(database, ME, [], lease_seconds=60, draining=draining).drain


def stuck(database: Database) -> list[tuple[StuckKind, str, int]]:
    stuck = jobs.find_stuck(database, progress_seconds=900, redispatch_seconds=15)
    return [(item.kind, item.subject, item.count) for item in stuck]


def test_a_waiting_job_is_announced_anew_and_free_of_suspicion(database: Database) -> None:
    jobs.register_worker(database, ME)
    job = suspect(database)
    execute(database, "UPDATE jobs SET not_before = now() + interval '1 hour', dispatched_at = now()")
    assert announced(database) == []
    done = jobs.requeue(database, job.id)
    assert (done.before, done.worker, done.job.status) == (Status.QUEUED, None, Status.QUEUED)
    assert one(database, "SELECT crashes + isolated_crashes FROM jobs") == 0
    assert announced(database) == [job.id]


def test_a_processing_job_goes_to_another_worker_behind_its_last_part(database: Database) -> None:
    held = claimed(database)
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    done = jobs.requeue(database, held.job.id)
    assert (done.before, done.worker, done.job.status) == (Status.PROCESSING, WORKER, Status.QUEUED)
    with pytest.raises(LeaseLost):
        jobs.commit_part(database, held, part(1, "二。"), first_sentence=1)
    assert rows(database, "SELECT outcome, error_message FROM attempts") == [
        (Outcome.RELEASED, "an operator queued the job again")
    ]
    again = claimed(database, done.job, worker="worker-2")
    assert again.resume is not None
    assert (again.resume.number, again.failures) == (0, 0)


def test_a_processing_job_that_is_to_be_canceled_is(database: Database) -> None:
    held = claimed(database)
    jobs.cancel(database, held.job.id)
    assert jobs.requeue(database, held.job.id).job.status is Status.CANCELED
    assert one(database, "SELECT count(*) FROM usage") == 1


def test_an_ended_job_begins_a_new_run_unless_it_is_completed(database: Database) -> None:
    job = submitted(database)
    jobs.cancel(database, job.id)
    done = jobs.requeue(database, job.id)
    assert (done.before, done.job.run, done.job.status) == (Status.CANCELED, 2, Status.QUEUED)
    with pytest.raises(WrongState):
        jobs.requeue(database, completed(database).id)
    with pytest.raises(NotFound):
        jobs.requeue(database, uuid.uuid4())
    gone = submitted(database, source_kind="upload", url=None, audio_key="audio/x", audio_bytes=1, audio_sha256="0")
    jobs.cancel(database, gone.id)
    execute(database, f"UPDATE jobs SET audio_key = NULL WHERE id = '{gone.id}'")
    with pytest.raises(Expired):
        jobs.requeue(database, gone.id)


def test_a_drained_worker_gets_nothing_new_and_keeps_what_it_has(database: Database) -> None:
    jobs.register_worker(database, ME)
    held = claimed(database)
    waiting = submitted(database)
    jobs.ask_to_drain(database, WORKER, Drain.STAY)
    assert announced(database) == []
    # A message that was on its way already.
    assert jobs.claim(database, waiting.id, worker=WORKER, model=MODEL, lease_seconds=60) is None
    assert heartbeat(database) is Drain.STAY
    assert jobs.live_workers(database) == []
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    [state] = jobs.known_workers(database)
    assert (state.alive, state.draining, state.drain, state.running) == (True, True, Drain.STAY, 1)


def test_an_undrained_worker_takes_jobs_again(database: Database) -> None:
    jobs.register_worker(database, ME)
    job = submitted(database)
    jobs.ask_to_drain(database, WORKER, Drain.END)
    assert heartbeat(database) is Drain.END
    jobs.ask_to_drain(database, WORKER, None)
    assert heartbeat(database) is None
    assert announced(database) == [job.id]
    assert claimed(database, job).job.id == job.id
    assert heartbeat(database, draining=True) is None
    assert jobs.live_workers(database) == [], "its own shutdown is its own"


def test_only_known_workers_can_be_drained(database: Database) -> None:
    with pytest.raises(NotFound):
        jobs.ask_to_drain(database, "nobody", Drain.STAY)


def test_a_silent_worker_is_known_but_not_alive(database: Database) -> None:
    jobs.register_worker(database, ME)
    jobs.register_worker(database, replace(ME, id="worker-2"))
    execute(database, "UPDATE workers SET heartbeat_at = now() - interval '1 hour' WHERE id = 'worker-2'")
    workers = {
        state.worker.id: (state.alive, round(state.silent_seconds / 3600)) for state in jobs.known_workers(database)
    }
    assert workers == {WORKER: (True, 0), "worker-2": (False, 1)}


def test_nothing_is_stuck_where_all_moves(database: Database) -> None:
    jobs.register_worker(database, ME)
    claimed(database)
    submitted(database)
    announced(database)
    completed(database)
    assert stuck(database) == []


def test_jobs_without_a_worker_of_their_model(database: Database) -> None:
    jobs.register_worker(database, ME)
    for _ in range(3):
        submitted(database, model="another")
    submitted(database)
    assert stuck(database) == [(StuckKind.NO_WORKER, "another", 3)]
    jobs.ask_to_drain(database, WORKER, Drain.STAY)
    assert stuck(database) == [(StuckKind.NO_WORKER, "another", 3), (StuckKind.NO_WORKER, MODEL, 1)]


def test_an_announced_job_that_nobody_takes(database: Database) -> None:
    jobs.register_worker(database, ME)
    job = submitted(database)
    announced(database)
    assert stuck(database) == []
    execute(
        database, "UPDATE jobs SET created_at = now() - interval '80 seconds', not_before = now() - interval '2 min'"
    )
    assert stuck(database) == [(StuckKind.NOT_TAKEN, job.public_id, 1)], "however often it was announced since"
    claimed(database, submitted(database))
    assert stuck(database) == [], "the workers of the model take jobs"
    execute(database, "UPDATE attempts SET started_at = now() - interval '80 seconds'")
    assert stuck(database) == [(StuckKind.NOT_TAKEN, job.public_id, 1)]
    claimed(database, submitted(database, audio_key=None))
    failing = claimed(database, submitted(database, audio_key=None))
    jobs.try_again(database, failing, code="source_denied", message="no", pause_seconds=600, stage_ms={})
    fetched = claimed(database, submitted(database, audio_key=None))
    jobs.hand_over(database, fetched, jobs.FetchedAudio("audio/x/y", 5, "ab"), stage_ms={})
    jobs.cancel(database, fetched.job.id)
    assert stuck(database) == [(StuckKind.NOT_TAKEN, job.public_id, 1)], "downloads are no slots"
    execute(database, "UPDATE jobs SET dispatched_at = now() - interval '80 seconds' WHERE status = 'queued'")
    assert stuck(database) == [], "all slots are taken, and nothing is announced"


def test_a_job_without_progress(database: Database) -> None:
    jobs.register_worker(database, ME)
    held = claimed(database, lease_seconds=600)
    execute(database, "UPDATE attempts SET started_at = now() - interval '1 hour'")
    [item] = jobs.find_stuck(database, progress_seconds=900, redispatch_seconds=15)
    assert (item.kind, item.subject, item.worker) == (StuckKind.NO_PROGRESS, held.job.public_id, WORKER)
    age = one(database, "SELECT extract(epoch FROM now() - started_at)::float FROM attempts")
    assert 3600 <= item.seconds <= age
    jobs.commit_part(database, held, part(0, "一。"), first_sentence=0)
    assert stuck(database) == []


def test_a_lease_that_no_sweep_takes_back(database: Database) -> None:
    held = claimed(database)
    execute(database, "UPDATE jobs SET lease_expires_at = now() - interval '30 seconds'")
    assert stuck(database) == [], "the sweep may be about to"
    execute(database, "UPDATE jobs SET lease_expires_at = now() - interval '2 minutes'")
    assert stuck(database) == [(StuckKind.LEASE_EXPIRED, held.job.public_id, 1)]


def test_a_suspect_waits_for_a_worker_of_its_own(database: Database) -> None:
    jobs.register_worker(database, ME)
    job = suspect(database)
    assert (StuckKind.SUSPECT, job.public_id, 1) in stuck(database)


def test_webhooks_that_nobody_sends(database: Database) -> None:
    for _ in range(2):
        completed(database, submitted(database, webhook_url="https://example.com/hook"))
    assert webhooks.overdue(database, after_seconds=300) == []
    execute(database, "UPDATE deliveries SET next_attempt_at = now() - interval '1 hour'")
    [late] = webhooks.overdue(database, after_seconds=300)
    assert late == Overdue("example.com", 2, pytest.approx(3600, abs=60))  # type: ignore[arg-type]
