"""Exit statuses of the command, for scripts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from paraqueue.cli import show
from paraqueue.errors import (
    ApiError,
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    JobEnded,
    NotFound,
    ParaqueueError,
    SummaryNotReady,
    WaitedTooLong,
)

if TYPE_CHECKING:
    from rich.console import Console

    from paraqueue.client import Client

OK = 0
FAILED = 1
"""A transcription failed or was canceled, or the service refused."""
USAGE = 2
"""Arguments, configuration, or a file that cannot be read."""
DENIED = 3
UNREACHABLE = 4
NOT_FOUND = 5
STILL_RUNNING = 6
INTERRUPTED = 130


@cache
def errors() -> Console:
    """Standard error. rich is imported only when something is printed: the help needs none of it."""
    return show.console(stderr=True, soft_wrap=True)


def status_of(error: BaseException) -> int:
    """The exit status for an error."""
    match error:
        case AuthenticationFailed():
            return DENIED
        case NotFound():
            return NOT_FOUND
        case ConnectionFailed():
            return UNREACHABLE
        case WaitedTooLong() | SummaryNotReady():
            return STILL_RUNNING
        case ConfigurationError() | OSError():
            return USAGE
        case JobEnded() | ApiError() | ParaqueueError():
            return FAILED
        case KeyboardInterrupt():
            return INTERRUPTED
    raise error


def error_text(error: BaseException) -> str:
    """Describe an error in one line, with advice on what to do about it."""
    match error:
        case AuthenticationFailed(status=401):
            return f"{error}: set PARAQUEUE_API_KEY, or run `paraqueue config set api_key …`"
        case ConnectionFailed():
            return f"{error}: is PARAQUEUE_URL (or `paraqueue config set url …`) right?"
        case ApiError(request_id=str() as request_id):
            return f"{error} [request {request_id}]"
        case OSError():
            return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    return str(error)


@contextmanager
def reported() -> Iterator[None]:
    """On an error, end the command with a message and an exit status instead of a traceback."""
    try:
        yield
    except (ParaqueueError, OSError) as error:
        errors().print(f"paraqueue: {error_text(error)}")
        sys.exit(status_of(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@contextmanager
def connected() -> Iterator[Client]:
    """A client of a service that responds: one that is away is reported at once, later failures are retried first."""
    from paraqueue.client import Client

    with reported(), Client() as client:
        client.reach()
        yield client
