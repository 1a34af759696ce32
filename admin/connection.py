"""The settings and the database of a command, and its errors as a line instead of a traceback."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from common.db import Database
from common.errors import ConfigurationError, ParaqueueError
from common.settings import Settings, load_settings


@contextmanager
def connected() -> Iterator[tuple[Settings, Database]]:
    """The installation that the settings name. No connection is made before the first statement."""
    settings = load_settings()
    database = Database(settings.sqlalchemy_url, 2)
    try:
        yield settings, database
    finally:
        database.close()


@contextmanager
def reported() -> Iterator[None]:
    """End the command with a line and a status."""
    try:
        yield
    except ParaqueueError as error:
        print(f"paraqueue: {error.message}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def quiet() -> None:
    """No library may print between our lines: what is wrong is what a check says."""
    logging.disable(logging.CRITICAL)
