"""A file that kills every worker that processes it: it fails, and no other job does."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path

import pytest

from dev.postgres import Postgres
from dev.process import Child
from tests.e2e.recordings import spoken, write
from tests.e2e.service import READY_SECONDS, TERMINAL, Answer, Service, fresh_service, without_confidence

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
SETTINGS = {"lease_seconds": 3.0, "part_seconds": 10.0, "sweep_seconds": 0.5, "worker_slots": 3}
CRASH_MS = 45_000


class Supervisor:
    """A worker that is started again whenever it dies, as systemd or Kubernetes would."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._child: Child | None = None
        self.crashes: list[int] = []

    def ended(self, job_id: str) -> Answer:
        """The job when it has ended."""

        def look(job: Answer) -> bool:
            if self._child is None or self._child.process.poll() is not None:
                if self._child is not None:
                    self.crashes.append(self._child.process.returncode)
                self._child = self._service.start("worker", "tests.e2e.crashing_worker")
            return job["status"] in TERMINAL

        return self._service.wait(job_id, look, 4 * READY_SECONDS)


def test_poison_fails_and_everything_beside_it_completes(
    postgres: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recording = spoken(20, seed=20)
    folder: Path = tmp_path_factory.mktemp("audio")
    good = write(recording.samples, folder / "good.mp3", "-b:a", "48k")
    bad = write(recording.samples, folder / "bad.mp3", "-b:a", "64k")
    monkeypatch.setenv("CRASH_SHA256", hashlib.sha256(bad.read_bytes()).hexdigest())
    monkeypatch.setenv("CRASH_MS", str(CRASH_MS))
    with fresh_service(postgres, tmp_path_factory.mktemp("service"), **SETTINGS) as service:
        undisturbed = without_confidence(service.sentences(service.finished(service.upload(good))["id"]))
        service.children.pop("worker").stop(40)
        poison = service.upload(bad)
        beside = [service.upload(good) for _ in range(4)]
        supervisor = Supervisor(service)
        failed = supervisor.ended(poison)
        completed = [supervisor.ended(job_id) for job_id in beside]
        assert (failed["status"], failed["error"]["code"]) == ("failed", "poison")
        assert failed["error"]["retryable"] is False
        assert [attempt["outcome"] for attempt in failed["attempts"]] == ["lost"] * 4
        assert supervisor.crashes == [-signal.SIGKILL] * 4
        assert [job["status"] for job in completed] == ["completed"] * 4
        assert 30_000 <= failed["processed_ms"] < CRASH_MS + 10_000
        assert all(without_confidence(service.sentences(job["id"])) == undisturbed for job in completed)
        print(f"attempts of the jobs beside it: {[len(job['attempts']) for job in completed]}")
