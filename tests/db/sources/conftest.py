"""A fetcher with its storage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from common.db import Database
from common.settings import Settings
from common.storage import make_storage
from dev.postgres import Postgres
from tests.db.job_cases import emptied, pool_on
from worker.transcription.fetching.fetcher import Fetcher


@pytest.fixture(scope="module")
def shared_database(postgres: Postgres) -> Iterator[Database]:
    with pool_on(postgres) as database:
        yield database


@pytest.fixture
def database(shared_database: Database) -> Database:
    return emptied(shared_database)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that name no database: a fetcher is given one."""
    places = {"storage_url": f"file:{tmp_path / 'storage'}", "scratch_dir": tmp_path / "scratch"}
    return Settings(**places, fetch_allowed_private="127.0.0.1", max_upload_bytes=3_000_000)  # type: ignore[arg-type]


@pytest.fixture
def fetcher(settings: Settings, database: Database) -> Fetcher:
    return Fetcher(settings, database, make_storage(settings))
