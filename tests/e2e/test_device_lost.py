"""A device that no longer works: its worker ends, and another one finishes the job."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.postgres import Postgres
from dev.process import wait_until
from tests.e2e.recordings import spoken, write
from tests.e2e.service import READY_SECONDS, fresh_service
from worker.transcription.main import EXIT_DEVICE_LOST

pytestmark = pytest.mark.timeout(600)
# A long lease: the job continues only because the worker gave it up.
SETTINGS = {"lease_seconds": 500.0, "sweep_seconds": 0.5, "worker_slots": 3}


def test_a_worker_without_a_device_ends_and_its_job_goes_on(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recording = spoken(20, seed=20)
    audio = write(recording.samples, Path(tmp_path_factory.mktemp("audio")) / "audio.mp3", "-b:a", "48k")
    with fresh_service(postgres, tmp_path_factory.mktemp("service"), **SETTINGS) as service:
        service.children.pop("worker").stop(40)
        child = service.start("worker", "tests.e2e.device_losing_worker")
        job_id = service.upload(audio)
        wait_until(lambda: child.process.poll() is not None, [], READY_SECONDS, "the worker did not end")
        assert child.process.returncode == EXIT_DEVICE_LOST
        log = child.log.read_text()
        assert "device_lost" in log
        assert "illegal memory access" in log
        assert "attempt_crashed" not in log
        service.children.pop("worker")
        service.start_worker("worker")
        job = service.finished(job_id)
        assert job["status"] == "completed"
        assert [attempt["outcome"] for attempt in job["attempts"]] == ["lost", "completed"]
