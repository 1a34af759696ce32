"""Traces: OpenTelemetry's, where a collector is named; else nothing but the ids that callers send, for the log.

OpenTelemetry is imported by `configure_tracing` alone, and only where there is a collector. What goes from process to
process is W3C's `traceparent`, as text, in the rows of jobs and deliveries.
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
# What begins later than this after it was asked for is a trace of its own, with a link. Collectors that decide on whole
# traces close one after minutes, and a queue that was long for a night is no part of a request of the evening.
CHILD_SECONDS = 3600.0

_provider: TracerProvider | None = None
_tracer: Tracer | None = None
# Without a tracer: whose trace the present work belongs to.
_given: ContextVar[str | None] = ContextVar("traceparent", default=None)


class Span:
    """A stretch of work that is being traced, or not."""

    def __init__(self, span: OtelSpan | None = None) -> None:
        self._span = span

    def rename(self, name: str) -> None:
        """What is known of it only later."""
        if self._span is not None:
            self._span.update_name(name)

    def tell(self, attributes: Attributes) -> None:
        """Add attributes: ids and numbers; no secrets and no text of a transcript."""
        if self._span is not None:
            self._span.set_attributes(dict(attributes))

    def fail(self, why: str) -> None:
        """It did not succeed; `why` is a code or the name of a class, never a message."""
        if self._span is not None:
            from opentelemetry.trace import StatusCode

            self._span.set_status(StatusCode.ERROR, why)


def configure_tracing(settings: LogSettings, *, service: str) -> None:
    """Send the traces of this process to the collector of the settings, if there is one.

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
    """Send what is not sent yet; before the process ends."""
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
    """A span around what is done in the context; a child of `parent` (a traceparent), else of the span around it.

    An exception marks it as failed, by its class or code only: messages may hold what a collector must not know.
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

    links = [trace.Link(trace.get_current_span(_context(found)).get_span_context())] if (found := valid(link)) else None
    context = _context(parent) if parent else _context(None) if links else None
    started = _tracer.start_span(name, context, trace.SpanKind[kind.upper()], dict(attributes or {}), links)
    with trace.use_span(started, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        told = Span(started)
        try:
            yield told
        except Exception as error:
            told.fail(error.code if isinstance(error, ParaqueueError) else type(error).__name__)
            raise


def record(name: str, began_ns: int, ended_ns: int, attributes: Attributes) -> None:
    """A span that is over already, within the present one; nanoseconds since 1970."""
    if _tracer is not None:
        _tracer.start_span(name, start_time=began_ns, attributes=dict(attributes)).end(ended_ns)


def current() -> str | None:
    """The traceparent of the present work, for who goes on with it elsewhere."""
    if _tracer is None:
        return _given.get()
    from opentelemetry import trace

    here = trace.get_current_span().get_span_context()
    if not here.is_valid:
        return None
    return f"00-{here.trace_id:032x}-{here.span_id:016x}-{int(here.trace_flags):02x}"


def trace_id() -> str | None:
    """The id of the present trace."""
    found = current()
    return found.split("-")[1] if found else None


def valid(traceparent: str | None) -> str | None:
    """A traceparent if it is one (W3C Trace Context, version 00), else None."""
    return traceparent if traceparent and TRACEPARENT.fullmatch(traceparent) else None


class Relation(NamedTuple):
    """How work belongs to the trace that asked for it: one of both, for `span`."""

    parent: str | None
    link: str | None


def relation(traceparent: str | None, asked_at: datetime, *, first: bool = True) -> Relation:
    """How work belongs to the trace that asked for it.

    A child where it is the `first` try and comes soon. A repetition, or what begins an hour later, is a trace of its
    own that links back.
    """
    soon = (datetime.now(UTC) - asked_at).total_seconds() < CHILD_SECONDS
    return Relation(traceparent, None) if first and soon else Relation(None, traceparent)


def _context(traceparent: str | None) -> Context:
    """A context with that parent and nothing else."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier = {"traceparent": traceparent} if traceparent else {}
    return TraceContextTextMapPropagator().extract(carrier, Context())
