"""Fixtures that every test may use: real servers, a clean place on each of them, and settings that point there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from common.db import Database
from common.settings import Settings
from common.settings.types import written
from common.storage import s3_client
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from dev.valkey import Valkey
from tests.db.job_cases import emptied, pool_on
from tests.progress import ProcessorTime, Progress
from tests.servers import (
    ADMIN_KEY,
    S3,
    HttpServer,
    flush,
    fresh_database,
    running_http_server,
    running_postgres,
    running_s3,
    running_valkey,
)

if TYPE_CHECKING:
    from tests.e2e.recordings import Recording
    from worker.engine.engine import Engine

# On a busy machine the time of one example says nothing.
hypothesis.settings.register_profile("shared-machine", deadline=None)
hypothesis.settings.load_profile("shared-machine")

# A service of four processes takes minutes to start where other work keeps the processors busy.
SERVICE_TIMEOUT_SECONDS = 900

# A developer's own settings must not steer the tests, nor a proxy come between us and the loopback interface.
for _name in [name for name in os.environ if name.startswith(("PARAQUEUE_", "AWS_"))]:
    del os.environ[_name]
os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


def pytest_configure(config: pytest.Config) -> None:
    """Say what failed when it fails, and in the end what cost the most."""
    config.pluginmanager.register(ProcessorTime(), "processor_time")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config), "progress")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Called by pytest-xdist where it is on."""
    from tests.distribution import ByFile

    return ByFile(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that start services get longer; in a worker of pytest-xdist: the order in which tests are dealt out."""
    for item in items:
        if item.nodeid.startswith("tests/e2e/") and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(SERVICE_TIMEOUT_SECONDS))
    if hasattr(config, "workerinput"):
        from tests.distribution import longest_first

        longest_first(items)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show coverage where pytest-cov is on and shows nothing itself."""
    if config.getoption("cov_source", None) and config.getoption("cov_report") == {"": None}:
        from tests.coverage_table import measured, table

        terminalreporter.section("branch coverage")
        for line in table(measured(REPOSITORY / ".cache" / "coverage" / "data")):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """The PostgreSQL server of this session."""
    with running_postgres(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture
def database_url(postgres: Postgres) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def pool(postgres: Postgres) -> Iterator[Database]:
    """A database with the schema, for all tests of a module."""
    with pool_on(postgres) as database:
        yield database


@pytest.fixture
def database(pool: Database) -> Database:
    """The same, without rows."""
    return emptied(pool)


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    """The engine with the bundled model."""
    # torch is imported for those only who ask.
    from worker.engine.bundles.bundles import from_directory
    from worker.engine.engine import Engine

    engine = Engine.load(from_directory(REPOSITORY / "models" / "demo-zh"), "cpu", threads=1)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def recording() -> Recording:
    """Two minutes of speech."""
    from tests.e2e.recordings import spoken

    return spoken(20, seed=20)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """The Valkey server of this session."""
    with running_valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture
def redis_url(valkey: Valkey) -> str:
    """An empty Valkey database."""
    flush(valkey)
    return valkey.url()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """The S3 store of this session, started by the first test that needs it."""
    with running_s3(tmp_path_factory.mktemp("s3")) as store:
        yield store


@pytest.fixture
def s3(s3_server: S3) -> S3:
    """The S3 store, with an empty bucket of the test's own."""
    bucket = f"test-{secrets.token_hex(6)}"
    client = s3_client(
        endpoint_url=s3_server.endpoint_url,
        region=s3_server.region,
        access_key_id=s3_server.access_key_id,
        secret_access_key=s3_server.secret_access_key,
        addressing_style="path",
        checksums="when_supported",
    )
    client.create_bucket(Bucket=bucket)
    return replace(s3_server, bucket=bucket)


@pytest.fixture
def http_server(tmp_path: Path) -> Iterator[HttpServer]:
    """An HTTP server over an empty directory of the test's own."""
    directory = tmp_path / "www"
    directory.mkdir()
    with running_http_server(directory) as server:
        yield server


@pytest.fixture
def settings(database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    """Settings with the test's own database, queue and directories, and the bundled model.

    For other values: `settings.model_copy(update={...})`.
    """
    values: dict[str, Any] = {
        "database_url": database_url,
        "redis_url": redis_url,
        "storage_url": f"file:{tmp_path / 'storage'}",
        "scratch_dir": tmp_path / "scratch",
        "models_dir": REPOSITORY / "models",
        "model": "demo-zh",
        "model_source": "local",
        "device": "cpu",
        "admin_key": ADMIN_KEY,
    }
    return Settings(**values)


@pytest.fixture
def environment(settings: Settings) -> dict[str, str]:
    """Return the environment for a real process that runs with `settings`."""
    return dict(os.environ) | variables(settings)


def variables(settings: Settings) -> dict[str, str]:
    """The PARAQUEUE_ variables of every value that was set on purpose."""
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    plain = {name: written(value) for name, value in given.items() if value is not None}
    return {f"PARAQUEUE_{name.upper()}": value for name, value in plain.items()}
