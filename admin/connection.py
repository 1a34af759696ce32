"""Settings and database connection of a command; errors are printed as one line instead of a traceback."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from common.db import Database
from common.errors import ConfigurationError, ParaqueueError
from common.settings import Settings, load_settings, unknown_settings


def read_settings() -> Settings:
    """Read the settings; print a line to standard error for each variable that looks like one but is none."""
    settings = load_settings()
    for unknown in unknown_settings(os.environ):
        nearest = f"; did you mean {unknown.nearest}?" if unknown.nearest else ""
        print(f"paraqueue: {unknown.variable} is not a setting{nearest}", file=sys.stderr)
    return settings


@contextmanager
def connected() -> Iterator[tuple[Settings, Database]]:
    """Yield the settings and the database. No connection is made before the first statement."""
    settings = read_settings()
    database = Database(settings.sqlalchemy_url, 2)
    try:
        yield settings, database
    finally:
        database.close()


@contextmanager
def reported() -> Iterator[None]:
    """Report an error as one line and exit with a status."""
    try:
        yield
    except ParaqueueError as error:
        print(f"paraqueue: {error.message}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)


def quiet() -> None:
    """Stop libraries from printing between our lines: problems are reported by the checks themselves."""
    logging.disable(logging.CRITICAL)
