"""Steps of which none holds up another."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import wraps

from common.errors import ParaqueueError
from common.telemetry import get_logger
from worker.metrics import STEPS

log = get_logger(__name__)


def at_most_every(seconds: float, step: Callable[[], None]) -> Callable[[], None]:
    """The same step, left out where this process took it so short a time ago: a backlog of messages is one step."""
    lock = threading.Lock()
    taken_at: float | None = None

    @wraps(step)
    def seldom() -> None:
        nonlocal taken_at
        with lock:
            now = time.monotonic()
            if taken_at is not None and now - taken_at < seconds:
                return
            taken_at = now
        step()

    return seldom


def each_step(*steps: Callable[[], None]) -> None:
    """Do all of them, also where some fail.

    What the service stands on may be away: that is said in a line, and the next time comes. Any other error is a
    defect; raises them together in the end.
    """
    failures: list[Exception] = []
    for step in steps:
        one_step(step.__name__.strip("_"), step, failures)
    if failures:
        raise ExceptionGroup("not every step could be done", failures)


def one_step(name: str, step: Callable[[], object], failures: list[Exception]) -> bool:
    """Do it, count it, and say whether it went well; `failures` gets what is a defect."""
    try:
        step()
    except ParaqueueError as error:
        STEPS.labels(name, "postponed").inc()
        log.warning("step_postponed", step=name, error_code=error.code, reason=error.message)
        return False
    except Exception as error:
        STEPS.labels(name, "failed").inc()
        failures.append(error)
        return False
    STEPS.labels(name, "done").inc()
    return True
