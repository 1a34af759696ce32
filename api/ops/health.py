"""Health checks: whether the process is alive, and whether it can accept jobs."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Response

from api.deps import ServiceDep
from common import jobs
from common.errors import ParaqueueError
from common.queue import check_broker
from common.telemetry import get_logger

router = APIRouter(prefix="/health", tags=["health"])
log = get_logger(__name__)


@router.get("/live")
def live() -> dict[str, str]:
    """200 as long as the process answers at all."""
    return {"status": "alive"}


@router.get("/ready")
def ready(response: Response, service: ServiceDep) -> dict[str, object]:
    """200 if jobs can be taken and handed on, else 503; `workers` may be 0, then jobs wait."""
    checks = {
        "database": _outcome(service.database.check_writable),
        "redis": _outcome(lambda: check_broker(service.queue)),
        "storage": _outcome(service.storage.check),
    }
    well = all(outcome == "ok" for outcome in checks.values())
    if not well:
        response.status_code = 503
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
