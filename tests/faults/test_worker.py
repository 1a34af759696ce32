"""Workers that are killed, frozen or replaced, and messages that get lost: no job is, and no word of it."""

from __future__ import annotations

import signal
import time

import pytest

from common.queue import TRANSCRIBE, make_app, transcribe_queue
from tests.e2e.service import READY_SECONDS, Answer, Service, processes_of, without_confidence
from tests.faults.conftest import Undisturbed

pytestmark = pytest.mark.timeout(900)
RECOVERY_SECONDS = 3.0 + 1.0  # lease and sweep; more on a machine that is busy with other things
SLACK_SECONDS = 15.0


def lost(job: Answer) -> bool:
    """Whether the first attempt was given up; the job itself may be queued for milliseconds only."""
    return bool(job["attempts"]) and job["attempts"][0]["outcome"] == "lost"


def the_same(service: Service, job_id: str, undisturbed: Undisturbed) -> Answer:
    """The job at its end, when its transcript is exactly the undisturbed one."""
    job = service.finished(job_id)
    assert without_confidence(service.sentences(job_id)) == undisturbed.sentences
    return job


def test_a_killed_worker_loses_nothing(service: Service, undisturbed: Undisturbed) -> None:
    job_id = service.upload(undisturbed.audio)
    service.wait_for_parts(job_id, 3)
    victim = service.children["worker"]
    victim.process.kill()
    killed = time.monotonic()
    victim.process.wait()
    service.start("worker", "worker.main")
    service.wait(job_id, lost, 60)
    taken_back = time.monotonic() - killed
    service.wait(job_id, lambda job: job["attempt"] >= 2, READY_SECONDS)
    print(f"taken back after {taken_back:.1f} s, taken up by a new process after {time.monotonic() - killed:.1f} s")
    job = the_same(service, job_id, undisturbed)
    first, second = job["attempts"]
    assert (first["outcome"], first["error_code"]) == ("lost", "worker_lost")
    assert second["outcome"] == "completed"
    assert second["resumed_ms"] >= 3 * service.settings.part_seconds * 1000
    assert taken_back < RECOVERY_SECONDS + SLACK_SECONDS
    assert not processes_of({victim.process.pid})


def test_a_frozen_worker_that_wakes_up_changes_nothing(service: Service, undisturbed: Undisturbed) -> None:
    job_id = service.upload(undisturbed.audio)
    service.wait_for_parts(job_id, 2)
    frozen = service.children["worker"]
    frozen.process.send_signal(signal.SIGSTOP)
    try:
        service.wait(job_id, lost, 60)
        service.start_worker("second-worker")
        service.wait(job_id, lambda job: job["attempt"] >= 2, 60)
        frozen.process.send_signal(signal.SIGCONT)
        job = the_same(service, job_id, undisturbed)
    finally:
        frozen.process.send_signal(signal.SIGCONT)
        if second := service.children.pop("second-worker", None):
            second.stop(40)
    assert job["attempts"][0]["outcome"] == "lost"


def test_a_worker_that_is_told_to_end_hands_its_job_back(service: Service, undisturbed: Undisturbed) -> None:
    job_id = service.upload(undisturbed.audio)
    service.wait_for_parts(job_id, 2)
    leaving = service.children["worker"]
    asked = time.monotonic()
    leaving.process.send_signal(signal.SIGTERM)
    assert leaving.process.wait(60) == 0
    print(f"ended {time.monotonic() - asked:.1f} s after SIGTERM")
    waiting = service.job(job_id)
    assert (waiting["status"], waiting["error"]) == ("queued", None)
    assert [item["outcome"] for item in waiting["attempts"]] == ["released"]
    service.start_worker("worker")
    job = the_same(service, job_id, undisturbed)
    assert [item["outcome"] for item in job["attempts"]] == ["released", "completed"]
    assert job["attempts"][1]["resumed_ms"] == waiting["processed_ms"]


def test_lost_messages_cost_only_time(service: Service, undisturbed: Undisturbed) -> None:
    """Nobody listens when the job is announced, and its message is gone when somebody does."""
    service.children.pop("worker").stop(40)
    job_id = service.upload(undisturbed.audio)
    time.sleep(1)  # in which the API and the sweep may announce it; whether they do is not what is tested
    service.lose_all_messages()
    assert service.job(job_id)["status"] == "queued"
    service.start_worker("worker")
    service.lose_all_messages()
    job = the_same(service, job_id, undisturbed)
    assert len(job["attempts"]) == 1


def test_the_same_message_many_times_runs_the_job_once(service: Service, undisturbed: Undisturbed) -> None:
    job_id = service.upload(undisturbed.audio)
    queue = make_app(service.settings)
    for _ in range(10):
        queue.send_task(TRANSCRIBE, args=[job_id], queue=transcribe_queue("demo-zh"))
    job = the_same(service, job_id, undisturbed)
    assert [item["outcome"] for item in job["attempts"]] == ["completed"]
