"""Logs: one JSON object per line, constant event names, data in fields. No secrets, no transcript text."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import structlog
from structlog.typing import EventDict, WrappedLogger

from common.settings import LogSettings, unknown_settings
from common.telemetry import tracing

# Libraries that log every request or task at `info`; our own events contain the same with ids.
QUIET = (
    "httpx",
    "httpcore",
    "botocore",
    "boto3",
    "urllib3",
    "s3transfer",
    "celery.worker.strategy",
    "celery.app.trace",
    "celery.beat",
)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module; works before `configure_logging`, and uses its configuration afterwards."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def configure_logging(settings: LogSettings, *, service: str) -> None:
    """Send all log lines of this process, from us and from libraries, to stdout in one format."""

    def add_service(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _with_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_service,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), _without_colours],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings)],
        )
    )
    _leave_out_places()
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _leave_out_places() -> None:
    """Keep logging from looking for what no line shows: where in the code a line came from, threads and processes."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def warn_of_unknown_settings() -> None:
    """Log a warning for each variable that looks like a setting but is none, without its value."""
    for unknown in unknown_settings(os.environ):
        get_logger(__name__).warning("unknown_setting", variable=unknown.variable, nearest=unknown.nearest)


def bound(name: str) -> str | None:
    """Return the value bound to this name in the current log context; None if there is none."""
    value = structlog.contextvars.get_contextvars().get(name)
    return None if value is None else str(value)


def _with_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the current trace id, under the name that log viewers expect."""
    trace_id = tracing.trace_id()
    return event if trace_id is None else {"trace_id": trace_id, **event}


def _without_colours(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Remove the copy of the message with colors that uvicorn adds for terminals."""
    event.pop("color_message", None)
    return event


def _rendering(settings: LogSettings) -> list[Any]:
    if settings.log_format == "text":
        return [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    return [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(ensure_ascii=False),
    ]
