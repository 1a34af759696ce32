"""Dependencies of routes: the parts of the running service, and the caller."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from inspect import iscoroutinefunction
from typing import Annotated, Any, TypeVar, cast

from celery import Celery
from fastapi import APIRouter, Depends, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api.auth.callers import Caller
from api.auth.identities import Authenticator
from api.auth.rate_limits import RateLimits
from api.auth.visitors import Visitors
from api.http.threads import RequestTurns, turn
from api.job_notifications import JobNotifications
from api.queue_metrics import QueueMetrics
from common import ids
from common.db import Database
from common.errors import Forbidden, Unauthenticated
from common.jobs import Dispatcher, Estimates
from common.keys import Scope
from common.settings import Settings
from common.shares import Visit
from common.storage import Storage
from common.telemetry.metrics import Exposition, Readers
from common.uploads import Hashes
from common.webhooks import Receivers

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Service:
    """The service's components, created once in the lifespan and shared by all requests."""

    settings: Settings
    database: Database
    storage: Storage
    queue: Celery
    dispatcher: Dispatcher
    estimates: Estimates
    notifications: JobNotifications
    hashes: Hashes
    authenticator: Authenticator
    visitors: Visitors
    rates: RateLimits
    receivers: Receivers
    queue_metrics: QueueMetrics
    readers: Readers
    exposition: Exposition
    turns: RequestTurns


def service_of(request: Request) -> Service:
    """Return the service that this app runs. For the busiest routes: a dependency takes a tenth of a poll's time."""
    return cast(Service, request.app.state.service)


async def get_service(request: Request) -> Service:
    """Return the service, as a dependency. `async` like all small ones: a `def` dependency costs a thread switch."""
    return service_of(request)


ServiceDep = Annotated[Service, Depends(get_service)]


def _part(choose: Callable[[Service], T]) -> Callable[[Request], Coroutine[Any, Any, T]]:
    """Return a dependency for one part of the service, so that a route's signature shows what the route uses."""

    async def part(request: Request) -> T:
        return choose(service_of(request))

    return part


SettingsDep = Annotated[Settings, Depends(_part(lambda service: service.settings))]
DatabaseDep = Annotated[Database, Depends(_part(lambda service: service.database))]
StorageDep = Annotated[Storage, Depends(_part(lambda service: service.storage))]
QueueDep = Annotated[Celery, Depends(_part(lambda service: service.queue))]
DispatcherDep = Annotated[Dispatcher, Depends(_part(lambda service: service.dispatcher))]
AuthenticatorDep = Annotated[Authenticator, Depends(_part(lambda service: service.authenticator))]
EstimatesDep = Annotated[Estimates, Depends(_part(lambda service: service.estimates))]
ReceiversDep = Annotated[Receivers, Depends(_part(lambda service: service.receivers))]
ReadersDep = Annotated[Readers, Depends(_part(lambda service: service.readers))]
ExpositionDep = Annotated[Exposition, Depends(_part(lambda service: service.exposition))]


class Requires:
    """A dependency that returns the caller if it has all scopes. A test checks that every route of /v1 has one."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = scopes

    async def __call__(self, request: Request) -> Caller:
        """Return the caller. Raises Unauthenticated, Forbidden."""
        caller: Caller | None = getattr(request.state, "caller", None)
        if caller is None:  # the gate rejects such calls to /v1; this is for routes outside it
            raise Unauthenticated("an API key is required")
        for scope in self.scopes:
            if scope not in caller.scopes:
                raise Forbidden(f"this call needs a key with the scope `{scope}`")
        return caller


class ScopedRoute(APIRoute):
    """A route that checks the caller's scopes before the body is read: FastAPI parses bodies before dependencies.

    A `def` endpoint runs in a turn of the caller's tenant.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's handler, preceded by the check."""
        handler = super().get_route_handler()
        required = [call for call in _calls_of(self.dependant) if isinstance(call, Requires)]
        in_turn = not iscoroutinefunction(self.endpoint)  # others take turns for each of their blocking calls

        async def handle(request: Request) -> Response:
            for requires in required:
                await requires(request)
            if not in_turn:
                return await handler(request)
            if self.body_field is not None:
                await _received(request)
            async with turn():
                return await handler(request)

        return handle


async def _received(request: Request) -> None:
    """Receive the whole body, which a slow client sends without a turn; the handler finds it in the request."""
    try:
        await request.body()
    except ClientDisconnect:
        raise HTTPException(400, "the connection closed before the body was complete") from None


def _calls_of(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls_of(inner)


def v1_router(prefix: str, tag: str) -> APIRouter:
    """Return a router for calls below /v1."""
    return APIRouter(prefix=prefix, tags=[tag], route_class=ScopedRoute)


CallerDep = Annotated[Caller, Depends(Requires())]
SubmitCaller = Annotated[Caller, Depends(Requires(Scope.SUBMIT))]
ReadCaller = Annotated[Caller, Depends(Requires(Scope.READ))]
# For routes that change what the caller must have read, or that return a transcript
SubmitAndReadCaller = Annotated[Caller, Depends(Requires(Scope.SUBMIT, Scope.READ))]
AdminCaller = Annotated[Caller, Depends(Requires(Scope.ADMIN))]


async def visit_of(request: Request) -> Visit:
    """Return what the visitor's share link permits; the gate has checked it. For routes below /v1/shared only."""
    return cast(Visit, request.state.visit)


VisitDep = Annotated[Visit, Depends(visit_of)]


def public_url(request: Request) -> str:
    """Return the URL at which clients reach the API, without a trailing slash."""
    return (service_of(request).settings.public_url or str(request.base_url)).rstrip("/")


async def job_uuid(transcription_id: str) -> uuid.UUID:
    """Return the UUID of a job id in a path. Raises NotFound if it is not a valid job id."""
    return ids.parsed(ids.JOB, transcription_id)
