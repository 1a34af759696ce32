"""What the tests of deployment share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from common.db import Database
from common.settings import Settings
from tests.db.job_cases import database_of


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The database of the settings."""
    opened = database_of(settings)
    yield opened
    opened.close()
