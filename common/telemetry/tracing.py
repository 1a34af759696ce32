"""Tracing: OpenTelemetry if a collector is configured, otherwise only callers' trace ids, for the log.

OpenTelemetry is imported only by `configure_tracing`, and only if there is a collector. Between processes, W3C's
`traceparent` is passed as text in the rows of jobs and deliveries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

from common.errors import ParaqueueError
from common.settings import LogSettings

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import Tracer

Attributes = Mapping[str, str | int | float | bool]
Kind = Literal["internal", "server", "client", "producer", "consumer"]
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
STANDARD_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
TRACES_PATH = "/v1/traces"
EXPORT_SECONDS = 5
# Work that begins later than this after its request becomes a separate trace with a link. Collectors that sample whole
# traces close one after minutes, and work after a night in the queue does not belong to the evening's request.
CHILD_SECONDS = 3600.0

_provider: TracerProvider | None = None
_tracer: Tracer | None = None
# Without a tracer: the traceparent of the current work.
_given: ContextVar[str | None] = ContextVar("traceparent", default=None)


class Span:
    """A unit of work, traced or not."""

    def __init__(self, span: OtelSpan | None = None) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        """Set a name that is known only later."""
        if self._span is not None:
            self._span.update_name(name)

    def tell(self, attributes: Attributes) -> None:
        """Add attributes: ids and numbers, never secrets or transcript text."""
        if self._span is not None:
            self._span.set_attributes(dict(attributes))

    def fail(self, why: str) -> None:
        """Mark the span as failed; `why` is an error code or class name, never a message."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR, why)


def configure_tracing(settings: LogSettings, *, service: str) -> None:
    """Send the traces of this process to the collector from the settings, if there is one.

    Sampling, headers and further attributes come from OpenTelemetry's own variables (`OTEL_TRACES_SAMPLER`,
    `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_RESOURCE_ATTRIBUTES`), which its SDK reads.
    """
    global _provider, _tracer
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or not (settings.otlp_endpoint or any(os.environ.get(name) for name in STANDARD_VARIABLES)):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    address = settings.otlp_endpoint.rstrip("/") + TRACES_PATH if settings.otlp_endpoint else None
    _provider = TracerProvider(resource=Resource.create({"service.name": f"paraqueue-{service}"}))
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(address, timeout=EXPORT_SECONDS)))
    _tracer = _provider.get_tracer("paraqueue")


def stop_tracing() -> None:
    """Send the remaining spans; call it before the process ends."""
    global _provider, _tracer
    if _provider is not None:
        _provider.shutdown()
    _provider = _tracer = None


@contextmanager
def span(
    name: str,
    *,
    kind: Kind = "internal",
    parent: str | None = None,
    link: str | None = None,
    attributes: Attributes | None = None,
) -> Iterator[Span]:
    """Open a span around the context's work: a child of `parent` (a traceparent), or else of the enclosing span.

    An exception marks it as failed, by its code or class only: messages may contain what a collector must not see.
    """
    parent = valid(parent)
    if _tracer is None:
        token = _given.set(parent or valid(link) or _given.get())
        try:
            yield Span()
        finally:
            _given.reset(token)
        return
    from opentelemetry import trace

    links = (
        [trace.Link(trace.get_current_span(_context(parent_value)).get_span_context())]
        if (parent_value := valid(link))
        else None
    )
    context = _context(parent) if parent else _context(None) if links else None
    started = _tracer.start_span(name, context, trace.SpanKind[kind.upper()], dict(attributes or {}), links)
    with trace.use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        span = Span(started)
        try:
            yield span
        except Exception as error:
            span.fail(error.code if isinstance(error, ParaqueueError) else type(error).__name__)
            raise


def record(name: str, began_ns: int, ended_ns: int, attributes: Attributes) -> None:
    """Record a span that has already ended, within the current one; times are nanoseconds since 1970."""
    if _tracer is not None:
        _tracer.start_span(name, start_time=began_ns, attributes=dict(attributes)).end(ended_ns)


def current() -> str | None:
    """Return the traceparent of the current work, for continuing it elsewhere."""
    if _tracer is None:
        return _given.get()
    from opentelemetry import trace

    here = trace.get_current_span().get_span_context()
    if not here.is_valid:
        return None
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{int(here.trace_flags):02x}"


def trace_id() -> str | None:
    """Return the id of the current trace."""
    value = current()
    return value.split("-")[1] if value else None


def valid(traceparent: str | None) -> str | None:
    """Return a traceparent if it is valid (W3C Trace Context, version 00), else None."""
    return traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None


class Relation(NamedTuple):
    """How work relates to the trace that requested it: a parent or a link for `span`."""

    parent: str | None
    link: str | None


def relation(traceparent: str | None, asked_at: datetime, *, first: bool = True) -> Relation:
    """Return how work relates to the trace that requested it.

    The `first` attempt is a child if it starts soon. A later attempt, or one that begins more than an hour later, is a
    separate trace that links back.
    """
    soon = (datetime.now(UTC) - asked_at).total_seconds() < CHILD_SECONDS
    return Relation(traceparent, None) if first and soon else Relation(None, traceparent)


def _context(traceparent: str | None) -> Context:
    """Return a context that contains only this parent."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent} if traceparent else {}
    return TraceContextTextMapPropagator().extract(carrier, Context())
