"""The thread of a message goes on with the jobs that come next, with the real database, decoder and engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from common import jobs
from common.job_states import Status
from common.jobs import Worker
from common.transcript.values import Sentence
from tests.db.task_cases import Bench, bench_with, in_background
from tests.engine.pipeline.cases import same
from tests.waiting import until
from worker.transcription import tasks
from worker.transcription.tasks import AttemptFailed


@pytest.fixture
def woken() -> list[str]:
    return []


@pytest.fixture
def live(bench: Bench, woken: list[str]) -> Iterator[Bench]:
    """A worker that renews its leases and is known to be alive."""
    engine = bench.transcriber.engine
    made = bench_with(bench.settings, bench.database, engine, wake_dispatcher=lambda: woken.append("dispatch"))
    worker = Worker(made.transcriber.attempts.worker, engine.bundle, engine.revision, engine.precision, "cpu", 2)
    jobs.register_worker(bench.database, worker)
    yield made
    jobs.unregister_worker(bench.database, worker.id)


def test_one_message_is_enough_for_a_queue(
    live: Bench, audio: Path, reference: list[Sentence], woken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "IN_A_ROW_SECONDS", 600.0)
    first, *others = [live.upload(audio) for _ in range(3)]
    assert live.transcriber.task(first.public_id) == "completed"
    for job in (first, *others):
        assert live.now(job).status is Status.COMPLETED
        assert same(live.sentences(job), reference)
        (attempt,) = jobs.attempts(live.database, job.id)
        assert attempt.worker == live.transcriber.attempts.worker
    assert woken
    # A message of a job that was claimed without it is dropped.
    before = live.now(others[0])
    assert live.transcriber.task(others[0].public_id) == "not_available"
    assert live.now(others[0]) == before


def test_the_failure_of_the_messages_own_job_is_that_of_its_task(
    live: Bench, audio: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "IN_A_ROW_SECONDS", 600.0)
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"no audio")
    failing, other = live.upload(bad), live.upload(audio)
    with pytest.raises(AttemptFailed, match="failed"):
        live.transcriber.task(failing.public_id)
    assert live.now(other).status is Status.COMPLETED


def test_after_a_while_the_thread_returns_to_its_queue(
    live: Bench, audio: Path, woken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "IN_A_ROW_SECONDS", 0.0)
    first, other = live.upload(audio), live.upload(audio)
    assert live.transcriber.task(first.public_id) == "completed"
    assert live.now(other).status is Status.QUEUED
    assert woken == ["dispatch"]


def test_a_worker_that_shuts_down_claims_no_more(live: Bench, audio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "IN_A_ROW_SECONDS", 600.0)
    first, other = live.upload(audio), live.upload(audio)
    live.transcriber.leases.start()
    try:
        thread, _ = in_background(live, first)
        until(lambda: live.now(first).status is Status.PROCESSING)
        live.transcriber.leases.shut_down()
        thread.join(120)
        assert live.transcriber.task(first.public_id) in {"shutdown", "not_available"}
    finally:
        live.transcriber.leases.end()
    assert {live.now(job).status for job in (first, other)} == {Status.QUEUED}


def test_a_thread_that_finds_another_choosing_waits_for_a_message(
    live: Bench, audio: Path, woken: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if the other one never ends: its query may wait for a database that does not respond."""
    monkeypatch.setattr(tasks, "IN_A_ROW_SECONDS", 600.0)
    monkeypatch.setattr(tasks, "TURN_SECONDS", 0.01)
    first, other = live.upload(audio), live.upload(audio)
    with live.transcriber._turn:
        assert live.transcriber.task(first.public_id) == "completed"
    assert live.now(other).status is Status.QUEUED
    assert woken == ["dispatch", "dispatch"], "because more may wait, and at the end"
    assert live.transcriber.task(other.public_id) == "completed"
