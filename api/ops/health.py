"""Health checks: whether the process is alive, and whether it can accept jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from fastapi import APIRouter, Request, Response
from starlette.datastructures import State

from api.deps import Service, ServiceDep
from common import jobs
from common.errors import ParaqueueError
from common.queue import check_broker
from common.telemetry import get_logger

router = APIRouter(prefix="/health", tags=["health"])
log = get_logger(__name__)
REMEMBERED_SECONDS = 2.0
CHECKING = Lock()


@router.get("/live")
def live() -> dict[str, str]:
    """200 as long as the process answers at all."""
    return {"status": "alive"}


@router.get("/ready")
def ready(request: Request, response: Response, service: ServiceDep) -> dict[str, object]:
    """200 if jobs can be taken and handed on, else 503; `workers` may be 0, then jobs wait.

    The answer is at most two seconds old, however many ask: the checks write to storage, and anybody may call this.
    """
    found = _remembered(request.app.state, service)
    response.status_code = 200 if found["status"] == "ready" else 503
    return found


def _remembered(state: State, service: Service) -> dict[str, object]:
    """What the last check found; the first that comes after a while checks anew, and the others wait for it."""
    with CHECKING:
        checked_at, found = getattr(state, "readiness", (0.0, None))
        if found is None or time.monotonic() - checked_at >= REMEMBERED_SECONDS:
            found = _checked(service)
            state.readiness = (time.monotonic(), found)
        return dict(found)


def _checked(service: Service) -> dict[str, object]:
    checks = {
        "database": _outcome(service.database.check_writable),
        "redis": _outcome(lambda: check_broker(service.queue)),
        "storage": _outcome(service.storage.check),
    }
    well = all(outcome == "ok" for outcome in checks.values())
    if not well:
        log.warning("not_ready", **checks)
    workers = jobs.live_workers(service.database) if checks["database"] == "ok" else []
    return {
        "status": "ready" if well else "not_ready",
        "checks": checks,
        "model": service.settings.model,
        "workers": sum(worker.model == service.settings.model for worker in workers),
    }


def _outcome(check: Callable[[], None]) -> str:
    try:
        check()
    except ParaqueueError as error:
        return error.message
    return "ok"
