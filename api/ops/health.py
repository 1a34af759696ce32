"""Health checks: whether the process is alive, and whether it can accept jobs."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
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


class Liveness(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Checks(BaseModel):
    """`ok`, or what is wrong."""

    database: str
    redis: str
    storage: str


class Readiness(BaseModel):
    """Whether jobs can be accepted and dispatched."""

    status: Literal["ready", "not_ready"]
    checks: Checks
    model: str = Field(description="The default model.")
    workers: int = Field(description="Live workers that serve this model.")


@router.get("/live", response_model=Liveness)
def get_liveness() -> dict[str, str]:
    """200 as long as the process answers at all."""
    return {"status": "alive"}


@router.get(
    "/ready",
    response_model=Readiness,
    responses={503: {"model": Readiness, "description": "A server that the service depends on is not available."}},
)
def get_readiness(request: Request, response: Response, service: ServiceDep) -> dict[str, object]:
    """200 if jobs can be accepted and dispatched, otherwise 503. `workers` may be 0: jobs then wait.

    The response is up to two seconds old, because the checks write to storage and need no authentication.
    """
    readiness = _remembered(request.app.state, service)
    response.status_code = 200 if readiness["status"] == "ready" else 503
    return readiness


def _remembered(state: State, service: Service) -> dict[str, object]:
    """Return the latest check result; one caller renews it when it is old, and the others wait."""
    with CHECKING:
        checked_at, readiness = getattr(state, "readiness", (0.0, None))
        if readiness is None or time.monotonic() - checked_at >= REMEMBERED_SECONDS:
            readiness = _checked(service)
            state.readiness = (time.monotonic(), readiness)
        return dict(readiness)


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
