"""A tenant that has switched known voices on."""

from __future__ import annotations

import pytest

from common.db import Database
from tests.db.voice_cases import switched_on


@pytest.fixture(autouse=True)
def on(database: Database) -> Database:
    switched_on(database)
    return database
