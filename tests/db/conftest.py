"""What the tests of tasks and downloads share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.db import Database
from common.settings import Settings
from common.storage import LocalStorage
from common.transcript.values import Sentence
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.db.drips import Drips
from tests.db.task_cases import FAST, Bench, bench_with
from tests.e2e.recordings import Recording, write
from tests.roles import in_roles
from tests.servers import HttpServer, fresh_database
from training.speech import SAMPLE_RATE
from worker.engine.engine import Engine


@pytest.fixture(scope="module", autouse=True)
def roles_of_processes() -> Iterator[None]:
    """A missing grant in migrations/roles.sql fails the test of whatever lacks it."""
    with in_roles():
        yield


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "storage")


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    path = tmp_path / "scratch"
    path.mkdir()
    return path


@pytest.fixture(scope="module")
def module_database(postgres: Postgres) -> Iterator[str]:
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def module_bench(module_database: str, engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    place = tmp_path_factory.mktemp("tasks")
    values: dict[str, Any] = {
        "database_url": module_database,
        "storage_url": f"file:{place / 'storage'}",
        "scratch_dir": place / "scratch",
        "models_dir": REPOSITORY / "models",
        "model": "demo-zh",
        "model_source": "local",
        "device": "cpu",
        "fetch_allowed_private": ("127.0.0.1",),
        "fetch_resumes": 0,
        "fetch_stall_seconds": 10,
        "max_upload_bytes": 30_000_000,
        "max_attempts": 3,
    }
    settings = Settings(**values, **FAST)
    database = Database(settings.sqlalchemy_url, 10)
    bench = bench_with(settings, database, engine)
    bench.transcriber.leases.start()
    yield bench
    bench.transcriber.leases.end()
    database.close()


@pytest.fixture
def bench(module_bench: Bench) -> Iterator[Bench]:
    """After each test: no lease held, nothing on the scratch disk."""
    yield module_bench
    held = module_bench.execute("SELECT count(*) FROM jobs WHERE lease_token IS NOT NULL")
    module_bench.execute("DELETE FROM jobs")
    assert held == [(0,)]
    scratch = module_bench.settings.scratch_dir
    assert not scratch.exists() or not list(scratch.iterdir())


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory, recording: Recording) -> Path:
    """A minute and a half of speech."""
    return write(recording.samples[: 90 * SAMPLE_RATE], tmp_path_factory.mktemp("audio") / "a.mp3", "-b:a", "48k")


@pytest.fixture(scope="module")
def reference(module_bench: Bench, audio: Path) -> list[Sentence]:
    """What an undisturbed run makes of `audio`."""
    job = module_bench.upload(audio)
    assert module_bench.run(job) == "completed"
    return module_bench.sentences(job)


@pytest.fixture
def drips(http_server: HttpServer) -> Iterator[Drips]:
    made = Drips(http_server)
    yield made
    made.over.set()
