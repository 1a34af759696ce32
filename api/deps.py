"""What routes are given: the parts of the running service, and who calls."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, cast

from celery import Celery
from fastapi import APIRouter, Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from api.auth.callers import Caller
from api.auth.identities import Authenticator
from api.auth.rate_limits import RateLimits
from api.job_notifications import JobNotifications
from api.queue_metrics import QueueMetrics
from common import ids
from common.db import Database
from common.errors import Forbidden, Unauthenticated
from common.jobs import Dispatcher, Estimates
from common.keys import Scope
from common.settings import Settings
from common.storage import Storage
from common.telemetry.metrics import Exposition, Readers
from common.uploads import Hashes


@dataclass(frozen=True, slots=True)
class Service:
    """Made once in the lifespan, shared by all requests."""

    settings: Settings
    database: Database
    storage: Storage
    queue: Celery
    dispatcher: Dispatcher
    estimates: Estimates
    notifications: JobNotifications
    hashes: Hashes
    authenticator: Authenticator
    rates: RateLimits
    queue_metrics: QueueMetrics
    readers: Readers
    exposition: Exposition


def service_of(request: Request) -> Service:
    """The service that this app runs. For the busiest routes: a dependency costs a tenth of a poll."""
    return cast(Service, request.app.state.service)


async def get_service(request: Request) -> Service:
    """The same, as a dependency. `async`, as all small ones: a `def` one costs a switch of threads."""
    return service_of(request)


ServiceDep = Annotated[Service, Depends(get_service)]


class Requires:
    """A dependency that gives the caller, if it has all the scopes. Every route of /v1 has one: a test sees to it."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request) -> Caller:
        """Raises Forbidden."""
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None:  # the gate lets nobody through to /v1 without; this is for a route outside of it
            raise Unauthenticated("an API key is required")
        for scope in self.scopes:
            if scope not in caller.scopes:
                raise Forbidden(f"this call needs a key with the scope `{scope}`")
        return caller


class ScopedRoute(APIRoute):
    """A route that checks the caller's scope before the body: FastAPI reads and parses that before dependencies."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, behind the check."""
        handler = super().get_route_handler()
        required = [call for call in _calls_of(self.dependant) if isinstance(call, Requires)]

        async def handle(request: Request) -> Response:
            for requires in required:
                await requires(request)
            return await handler(request)

        return handle


def _calls_of(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls_of(inner)


def v1_router(prefix: str, tag: str) -> APIRouter:
    """A router for calls below /v1."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=ScopedRoute)


CallerDep = Annotated[Caller, Depends(Requires())]
SubmitCaller = Annotated[Caller, Depends(Requires(Scope.SUBMIT))]
ReadCaller = Annotated[Caller, Depends(Requires(Scope.READ))]
# Who changes what it must have read, or is answered with a transcript
SubmitAndReadCaller = Annotated[Caller, Depends(Requires(Scope.SUBMIT, Scope.READ))]
AdminCaller = Annotated[Caller, Depends(Requires(Scope.ADMIN))]


def public_url(request: Request, service: Service) -> str:
    """Where clients see the API, without a slash at the end."""
    return (service.settings.public_url or str(request.base_url)).rstrip("/")


async def job_uuid(transcription_id: str) -> uuid.UUID:
    """The job behind an id in a path. Raises NotFound for anything that is not such an id."""
    return ids.parsed(ids.JOB, transcription_id)
