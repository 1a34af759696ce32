"""transcribe(job_id) that is canceled, shut down, or loses its lease, its device or its database."""

from __future__ import annotations

import base64
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from common import jobs
from common.db import Database
from common.job_states import Outcome, Status
from common.jobs import Job
from common.transcript.values import Sentence
from tests.db.task_cases import PART_SECONDS, Bench, in_background
from tests.engine.pipeline.cases import same
from tests.waiting import until
from worker.engine.device.faults import DeviceLost
from worker.engine.engine import Engine
from worker.engine.resume_state import StateIdentity


def test_a_cancel_stops_it(bench: Bench, audio: Path) -> None:
    job = bench.upload(audio)
    thread, outcomes = in_background(bench, job)
    until(lambda: bench.parts(job) >= 1)
    jobs.cancel(bench.database, job.id)
    thread.join(60)
    assert outcomes == ["canceled"]
    assert bench.now(job).status is Status.CANCELED
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert attempt.outcome == Outcome.CANCELED
    assert bench.transcriber.engine.stats().queued_segments == 0


def lose(bench: Bench, job: Job) -> None:
    """What happens to a worker that was frozen for longer than its lease."""

    def taken_back() -> bool:
        bench.execute("UPDATE jobs SET lease_expires_at = now() - interval '1 s' WHERE id = %(id)s", id=job.id)
        return any(lost.job_id == job.id for lost in jobs.rescue_expired(bench.database))

    until(taken_back)


def test_a_worker_that_lost_its_lease_writes_nothing_more(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    job = bench.upload(audio)
    thread, outcomes = in_background(bench, job)
    until(lambda: bench.parts(job) >= 1)
    lose(bench, job)
    parts, sentences = bench.parts(job), len(bench.sentences(job))
    thread.join(120)
    assert outcomes == ["lost"]
    assert (bench.parts(job), len(bench.sentences(job))) == (parts, sentences)
    assert bench.now(job).status is Status.QUEUED
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)
    first, second = jobs.attempts(bench.database, job.id)
    assert first.outcome == Outcome.LOST
    assert first.error_message is not None
    assert "alive" in first.error_message
    assert second.resumed_ms is not None
    assert second.resumed_ms >= PART_SECONDS * 1000


def test_a_worker_that_lost_its_lease_at_the_very_end_completes_nothing(bench: Bench, audio: Path) -> None:
    """Its keeper is silent, as if frozen: only the token in its last write can tell."""
    frozen = bench.other()
    job = frozen.upload(audio)
    thread, outcomes = in_background(frozen, job)
    until(lambda: bench.parts(job) >= 1)
    lose(bench, job)
    thread.join(20)
    assert outcomes == ["lost"]
    assert bench.now(job).status is Status.QUEUED
    assert bench.now(job).result is None
    # The lost write is the only sign of life from this worker; it counts as one.
    assert bench.execute("SELECT crashes FROM jobs WHERE id = %(id)s", id=job.id) == [(0,)]
    (attempt,) = jobs.attempts(bench.database, job.id)
    assert attempt.error_message is not None
    assert "alive" in attempt.error_message


def test_a_shutdown_hands_the_job_back(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    leaving = bench.other(part_seconds=1000.0)
    leaving.transcriber.leases.start()
    job = leaving.upload(audio)
    thread, outcomes = in_background(leaving, job)
    until(lambda: bench.now(job).processed_ms > 10_000)
    leaving.transcriber.leases.shut_down()
    thread.join(120)
    leaving.transcriber.leases.end()
    assert outcomes == ["shutdown"]
    waiting = bench.now(job)
    assert (waiting.status, waiting.failure) == (Status.QUEUED, None)
    assert bench.parts(job) == 1
    assert bench.execute("SELECT failures, crashes FROM jobs WHERE id = %(id)s", id=job.id) == [(0, 0)]
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)
    first, second = jobs.attempts(bench.database, job.id)
    assert (first.outcome, second.outcome) == (Outcome.RELEASED, Outcome.COMPLETED)
    assert second.resumed_ms is not None
    assert second.resumed_ms > 10_000
    done = bench.now(job)
    assert done.result is not None
    assert done.result.processing_ms == sum(item.stage_ms["transcribing"] for item in (first, second))


@pytest.mark.parametrize("state", ["another revision", "an older version", "a newer version", "unreadable"])
def test_parts_that_cannot_be_continued_are_thrown_away(
    bench: Bench, audio: Path, reference: list[Sentence], engine: Engine, state: str
) -> None:
    """After an update of the model or of the service, after one was taken back, and after damage."""
    leaving = bench.other()
    leaving.transcriber.leases.start()
    job = leaving.upload(audio)
    thread, _ = in_background(leaving, job)
    until(lambda: bench.parts(job) >= 1)
    leaving.transcriber.leases.shut_down()
    thread.join(120)
    leaving.transcriber.leases.end()
    assert bench.now(job).status is Status.QUEUED
    ((number, packed),) = bench.execute(
        "SELECT number, state FROM parts WHERE job_id = %(id)s AND state IS NOT NULL", id=job.id
    )
    bench.execute(
        "UPDATE parts SET state = %(state)s WHERE job_id = %(id)s AND number = %(number)s",
        state=other_state(packed, engine.state_identity, state),
        id=job.id,
        number=number,
    )
    bench.execute("UPDATE sentences SET text = 'of the thrown away run' WHERE job_id = %(id)s", id=job.id)
    with capture_logs() as logs:
        assert bench.run(job) == "completed"
    assert [line["event"] for line in logs if line["event"] == "run_restarted"] == ["run_restarted"]
    assert same(bench.sentences(job), reference)


def other_state(packed: bytes, identity: StateIdentity, kind: str) -> bytes:
    """A part's state as something else would have left it."""
    fields = json.loads(packed)
    stream = base64.b64decode(fields["streams"][0])
    changes: dict[str, dict[str, Any]] = {
        "another revision": {"revision": "older"},
        "an older version": {"version": identity.version - 1},
        "a newer version": {"version": identity.version + 1},
    }
    changed = replace(identity, **changes[kind]).pack(identity.unpack(stream)) if kind in changes else stream[:-1]
    return json.dumps(fields | {"streams": [base64.b64encode(changed).decode("ascii")]}).encode()


def test_a_lost_device_gives_the_lease_up_at_once(
    bench: Bench, audio: Path, reference: list[Sentence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt counts as lost, so that a job that loses every device it gets to is found out."""
    job = bench.upload(audio)

    def lose_device(*_arguments: Any) -> None:
        raise DeviceLost("The device no longer works: an illegal memory access")

    with monkeypatch.context() as patch:
        patch.setattr("worker.transcription.tasks.transcribe", lose_device)
        assert bench.run(job) == "lost"
    assert bench.now(job).status is Status.PROCESSING
    assert [lost.job_id for lost in jobs.rescue_expired(bench.database)] == [job.id]
    assert bench.execute("SELECT failures, crashes FROM jobs WHERE id = %(id)s", id=job.id) == [(0, 1)]
    assert bench.run(job) == "completed"
    assert same(bench.sentences(job), reference)


def test_the_database_may_be_away_for_a_moment(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    """Every connection is cut, again and again, but no more often than the retries bear on a slow machine."""
    job = bench.upload(audio)
    cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
    cut += " WHERE datname = current_database() AND application_name = 'paraqueue'"
    thread, outcomes = in_background(bench, job)
    until(lambda: bench.now(job).status is Status.PROCESSING)
    cuts = 0
    while cuts < 6 and thread.is_alive():
        cuts += bench.execute(cut)[0][0]
        time.sleep(0.03)
    thread.join(60)
    assert cuts >= 6
    assert outcomes == ["completed"]
    assert same(bench.sentences(job), reference)


def test_a_claim_while_the_database_is_away_is_left_to_the_next_message(bench: Bench, audio: Path) -> None:
    job = bench.upload(audio)
    away = replace(bench.transcriber, database=Database("postgresql+psycopg://nobody@127.0.0.1:1/nothing", 1))
    with capture_logs() as logs:
        assert away.run(job.public_id) == "postponed"
    assert sorted((line["event"], line["job_id"], line["error_code"]) for line in logs) == [
        ("claim_not_undone", job.public_id, "unavailable"),
        ("claim_postponed", job.public_id, "unavailable"),
    ]
    assert bench.now(job).status is Status.QUEUED


def test_one_of_many_workers_gets_the_job(bench: Bench, audio: Path, reference: list[Sentence]) -> None:
    job = bench.upload(audio)
    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(lambda _: bench.run(job), range(6)))
    assert outcomes == ["completed"] + ["not_available"] * 5
    assert len(jobs.attempts(bench.database, job.id)) == 1
    assert same(bench.sentences(job), reference)
