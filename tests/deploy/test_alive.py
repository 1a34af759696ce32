"""The health checks of containers, against real servers and processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from common import jobs
from common.db import Database
from common.jobs import Worker
from common.settings import Settings
from deploy import alive
from dev.stack import REPOSITORY
from tests.waiting import until


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    opened = Database(settings.sqlalchemy_url, 2)
    yield opened
    opened.close()


def worker(name: str) -> Worker:
    return Worker(name, "demo-zh", "r1", "fp32", "cpu", 4)


@contextmanager
def running(arguments: list[str], environment: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", *arguments]
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=180)


def test_worker_is_alive_while_its_heartbeat_is_fresh(settings: Settings, database: Database) -> None:
    assert "no live worker" in (alive.worker_problem(settings) or "")
    here = worker(f"{socket.gethostname()}-1-abc123")
    jobs.register_worker(database, here)
    assert alive.worker_problem(settings) is None
    jobs.unregister_worker(database, here.id)
    assert "no live worker" in (alive.worker_problem(settings) or "")


def test_worker_of_another_container_does_not_count(settings: Settings, database: Database) -> None:
    jobs.register_worker(database, worker(f"{socket.gethostname()}x-1-abc123"))
    assert alive.worker_problem(settings) is not None


def test_light_worker_is_alive_while_it_answers(settings: Settings, environment: dict[str, str]) -> None:
    with running(["worker.light"], environment):
        until(lambda: not alive.light_problem(settings), what=lambda: alive.light_problem(settings))
    assert "does not answer" in (alive.light_problem(settings) or "")


def test_beat_is_alive_while_it_writes(settings: Settings, environment: dict[str, str], tmp_path: Path) -> None:
    directory = tmp_path / "beat"
    directory.mkdir()
    assert "nothing" in (alive.beat_problem(settings, directory) or "")
    command = ["celery", "-A", "common.queue", "beat", "--schedule", str(directory / "schedule")]
    with running(command, environment):
        until(lambda: not alive.beat_problem(settings, directory), what=lambda: alive.beat_problem(settings, directory))
    long_ago = time.time() - alive.BEAT_SILENCE_SECONDS - 1
    for path in directory.iterdir():
        os.utime(path, (long_ago, long_ago))
    assert "silent" in (alive.beat_problem(settings, directory) or "")


def test_exit_code_tells(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert alive.main(["worker"]) == 1
    assert "no live worker" in capsys.readouterr().out
    assert alive.main(["nobody"]) == 2
    monkeypatch.setenv("PARAQUEUE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert alive.main(["worker"]) == 1
    assert capsys.readouterr().out == "the database does not respond\n"
    monkeypatch.setenv("PARAQUEUE_PORT", "none")
    assert alive.main(["worker"]) == 1
    assert "PARAQUEUE_PORT" in capsys.readouterr().out
