"""The API process: app factory, lifespan, middleware. `python -m api.main` serves it."""

from __future__ import annotations

import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.telemetry import TelemetryConfig

from api import batches
from api.audio import peaks
from api.audio import routes as audio
from api.auth.gate import Gate
from api.auth.identities import Authenticator
from api.auth.lockout import Lockout
from api.auth.rate_limits import RateLimits
from api.auth.visitors import Visitors
from api.deps import Service
from api.http import problems
from api.http.metrics import Measures
from api.http.request_log import RequestLog
from api.http.security_headers import SecurityHeaders
from api.http.threads import bound_threads, request_turns
from api.job_notifications import JobNotifications
from api.keys import routes as keys
from api.keys import session, tenants
from api.openai import models
from api.openai import routes as openai_routes
from api.ops import console, docs, health, metrics, openapi
from api.queue_metrics import QueueMetrics
from api.server import IdleBodies, make_server
from api.shares import public as shared
from api.shares import routes as shares
from api.summaries import routes as summaries
from api.summaries import templates
from api.transcriptions import events, export, history, labels, search, sentences, speakers, structure, transcripts
from api.transcriptions import routes as transcriptions
from api.uploads import presigned
from api.uploads import routes as uploads
from api.usage import routes as usage
from api.vocabularies import routes as vocabularies
from api.webhooks import routes as webhooks
from common.db import Database
from common.errors import ConfigurationError
from common.jobs import Dispatcher, Estimates
from common.queue import Publisher, make_app
from common.settings import Settings, load_settings
from common.storage import make_storage
from common.telemetry import configure_logging, get_logger, warn_of_unknown_settings
from common.telemetry.metrics import Exposition, Readers, prepare
from common.telemetry.tracing import configure_tracing, stop_tracing
from common.uploads import Hashes
from common.version import VERSION
from common.webhooks import Receivers

log = get_logger(__name__)
# Our tracing (`api.http.request_log`) also covers requests that are refused before routing, and sends no queries,
# exception messages or stack traces to a collector, unlike FastAPI's own if its variables are set.
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}
DESCRIPTION = """\
Submit long audio, get an id at once, read the transcript later.

Times are integer milliseconds from the start of the audio. Errors are `application/problem+json` with a
stable `code`, the `request_id` to look for in the log, and `retryable`.
"""


def create_app(settings: Settings) -> FastAPI:
    """Create the ASGI application."""
    app = FastAPI(
        title="Paraqueue",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=_lifespan(settings),
        docs_url=None,
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        responses=problems.RESPONSES,
        openapi_tags=openapi.TAGS,
        generate_unique_id_function=openapi.operation_id,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        servers=[{"url": "/", "description": "This service"}],
    )
    _add_middleware(app, settings)
    problems.install(app)
    texts = (search, transcriptions, labels, transcripts, export, sentences, structure, history, speakers, events)
    data = (*texts, audio, peaks, shares, shared, batches, presigned, uploads, vocabularies, summaries, templates)
    for resource in (
        *data,
        openai_routes,
        webhooks,
        models,
        keys,
        tenants,
        usage,
        session,
        health,
        metrics,
        docs,
        console,
    ):
        app.include_router(resource.router)
    openapi.describe(app)
    return app


def _lifespan(settings: Settings) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    """What the application holds while it runs."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = _start(settings)
        app.state.service = service
        bound_threads(settings.database_pool_size)
        log.info("api_started", model=settings.model, host=settings.host, port=settings.port)
        service.notifications.start()
        _spare_garbage_collection()
        yield
        await service.notifications.stop()
        service.dispatcher.stop()
        service.queue_metrics.stop()
        service.database.close()
        stop_tracing()  # here, because uvicorn then ends the process with the signal that it received
        log.info("api_stopped")

    return lifespan


def _spare_garbage_collection() -> None:
    """Leave out of garbage collections what exists by now and stays: reading all of it took a seventh of the time."""
    gc.collect()
    gc.freeze()


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Add the middleware, innermost first."""
    app.add_middleware(IdleBodies, seconds=settings.request_idle_seconds)
    app.add_middleware(Gate)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.add_middleware(SecurityHeaders, shared=bool(settings.cors_origins))
    app.add_middleware(Measures)
    app.add_middleware(RequestLog)


def _start(settings: Settings) -> Service:
    database = Database(settings.sqlalchemy_url, settings.database_pool_size)
    database.measure_pool()
    queue = make_app(settings)
    publisher = Publisher(queue)
    dispatcher = Dispatcher.of(settings, database, publisher, wake_fetchers=publisher.wake_fetchers)
    dispatcher.start()
    notifications = JobNotifications(settings.direct_url)
    storage, estimates = make_storage(settings), Estimates(database)
    rates = RateLimits(settings)
    failures = Lockout(settings, rates)
    prepare(settings.model)
    queue_metrics = QueueMetrics(settings)
    queue_metrics.start()
    return Service(
        settings=settings,
        database=database,
        storage=storage,
        queue=queue,
        dispatcher=dispatcher,
        estimates=estimates,
        notifications=notifications,
        hashes=Hashes(),
        authenticator=Authenticator(settings, database, failures),
        visitors=Visitors(settings, database, failures, rates),
        rates=rates,
        receivers=Receivers(settings.fetch_allowed_private, settings.fetch_ports),
        queue_metrics=queue_metrics,
        readers=Readers(settings),
        exposition=Exposition([queue_metrics]),
        turns=request_turns(settings.database_pool_size),
    )


def main() -> int:
    """Serve until SIGTERM; let requests in flight finish."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        print(f"paraqueue: {error.message}", file=sys.stderr)
        return 2
    configure_logging(settings, service="api")
    warn_of_unknown_settings()
    configure_tracing(settings, service="api")
    app = create_app(settings)
    make_server(app, settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
