"""Steps that do not block one another."""

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
    """Wrap a step so that this process runs it at most once in `seconds`: a backlog of messages becomes one run."""
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
    """Run all steps, even if some fail.

    If a dependency of the service is unavailable, that is logged in one line and the next run tries again. Any other
    error is a defect; defects are raised together at the end.
    """
    failures: list[Exception] = []
    for step in steps:
        one_step(step.__name__.strip("_"), step, failures)
    if failures:
        raise ExceptionGroup("some steps failed", failures)


def one_step(name: str, step: Callable[[], object], failures: list[Exception]) -> bool:
    """Run and count a step and return whether it succeeded; defects are appended to `failures`."""
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
