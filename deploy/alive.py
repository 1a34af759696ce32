"""`python -m deploy.alive worker|light|beat`: health check of that process in this container.

Exits with 0 if the process works, and with 1 and a one-line reason if not. The API and Flower use HTTP checks instead.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from common import jobs
from common.db import Database
from common.errors import ParaqueueError
from common.queue import make_app
from common.settings import Settings, load_settings

PING_SECONDS = 5.0
# Beat writes its schedule at least every three minutes.
BEAT_DIRECTORY = Path("/var/lib/paraqueue/beat")
BEAT_SILENCE_SECONDS = 600.0


def main(arguments: list[str]) -> int:
    """Check the named process."""
    if len(arguments) != 1 or arguments[0] not in CHECKS:
        print(f"usage: python -m deploy.alive {'|'.join(CHECKS)}", file=sys.stderr)
        return 2
    try:
        problem = CHECKS[arguments[0]](load_settings())
    except ParaqueueError as error:
        problem = error.message
    except OSError as error:
        problem = f"{type(error).__name__}: {error}"
    if problem:
        print(problem)
    return 1 if problem else 0


def worker_problem(settings: Settings) -> str | None:
    """Return a problem unless a worker in this container, draining or not, still sends its heartbeat every second."""
    database = Database(settings.sqlalchemy_url, pool_size=1)
    try:
        here = f"{socket.gethostname()}-"
        if any(state.alive and state.worker.id.startswith(here) for state in jobs.known_workers(database)):
            return None
    finally:
        database.close()
    return f"no live worker on {socket.gethostname()}: it is loading its model, or gone"


def light_problem(settings: Settings) -> str | None:
    """Return a problem unless the light worker, which has no database row, responds to a ping through the broker."""
    name = f"light@{socket.gethostname()}-*"
    with make_app(settings) as queue:
        answers = queue.control.ping(timeout=PING_SECONDS, pattern=name, matcher="glob", limit=1)
    return None if answers else f"{name} does not answer"


def beat_problem(settings: Settings, directory: Path = BEAT_DIRECTORY) -> str | None:  # noqa: ARG001
    """Return a problem unless Beat, which has no other interface, has written its schedule file recently."""
    written = [path.stat().st_mtime for path in directory.glob("*")]
    if not written:
        return f"beat has written nothing to {directory}"
    silence = time.time() - max(written)
    return None if silence < BEAT_SILENCE_SECONDS else f"beat has been silent for {silence:.0f} s"


CHECKS: dict[str, Callable[[Settings], str | None]] = {
    "worker": worker_problem,
    "light": light_problem,
    "beat": beat_problem,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
