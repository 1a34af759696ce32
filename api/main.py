"""The API process: app factory, lifespan, middleware. `python -m api.main` serves it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

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
from api.deps import Service
from api.http import problems
from api.http.metrics import Measures
from api.http.request_log import RequestLog
from api.http.security_headers import SecurityHeaders
from api.job_notifications import JobNotifications
from api.keys import routes as keys
from api.keys import session, tenants
from api.openai import models
from api.openai import routes as openai
from api.ops import console, docs, health, metrics
from api.queue_metrics import QueueMetrics
from api.server import IdleBodies, make_server
from api.transcriptions import events, search, sentences, transcripts
from api.transcriptions import routes as transcriptions
from api.uploads import presigned
from api.uploads import routes as uploads
from api.usage import routes as usage
from api.webhooks import routes as webhooks
from common.db import Database
from common.errors import ConfigurationError
from common.jobs import Dispatcher, Estimates
from common.queue import Publisher, make_app
from common.settings import Settings, load_settings
from common.storage import make_storage
from common.telemetry import configure_logging, get_logger
from common.telemetry.metrics import Exposition, Readers, prepare
from common.telemetry.tracing import configure_tracing, stop_tracing
from common.uploads import Hashes
from common.version import VERSION

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

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service = _start(settings)
        app.state.service = service
        log.info("api_started", model=settings.model, host=settings.host, port=settings.port)
        service.notifications.start()
        yield
        await service.notifications.stop()
        service.dispatcher.stop()
        service.queue_metrics.stop()
        service.database.close()
        stop_tracing()  # here, because uvicorn then ends the process with the signal that it received
        log.info("api_stopped")

    app = FastAPI(
        title="Paraqueue",
        version=VERSION,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        telemetry=NO_TELEMETRY,
        responses=problems.RESPONSES,
    )
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
    app.add_middleware(RequestLog)  # the last one added is the outermost
    problems.install(app)
    data = (search, transcriptions, transcripts, sentences, audio, peaks, events, batches, presigned, uploads, openai)
    for resource in (*data, webhooks, models, keys, tenants, usage, session, health, metrics, docs, console):
        app.include_router(resource.router)
    docs.describe(app)
    return app


def _start(settings: Settings) -> Service:
    database = Database(settings.sqlalchemy_url, settings.database_pool_size)
    database.measure_pool()
    queue = make_app(settings)
    publisher = Publisher(queue)
    dispatcher = Dispatcher(
        database,
        publisher,
        redispatch_seconds=settings.redispatch_seconds,
        tenant_max_running=settings.tenant_max_running,
        wake_deliverers=publisher.wake_deliverers,
    )
    dispatcher.start()
    notifications = JobNotifications(settings.postgres_url)
    storage, estimates = make_storage(settings), Estimates(database)
    rates = RateLimits(settings)
    authenticator = Authenticator(settings, database, Lockout(settings, rates))
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
        authenticator=authenticator,
        rates=rates,
        queue_metrics=queue_metrics,
        readers=Readers(settings),
        exposition=Exposition([queue_metrics]),
    )


def main() -> int:
    """Serve until SIGTERM; let requests in flight finish."""
    try:
        settings = load_settings()
    except ConfigurationError as error:
        print(f"paraqueue: {error.message}", file=sys.stderr)
        return 2
    configure_logging(settings, service="api")
    configure_tracing(settings, service="api")
    app = create_app(settings)
    make_server(app, settings).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
