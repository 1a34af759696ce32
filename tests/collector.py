"""A real receiver of OTLP over HTTP, and of webhooks, on the loopback interface."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Seen:
    """A span as it came over the network; ids in hex, times in seconds."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    attributes: dict[str, Any]
    links: tuple[str, ...]
    """The trace ids of what it links to."""
    failed: bool
    began: float
    ended: float


@dataclass
class Collector:
    """What arrived so far."""

    port: int = 0
    spans: list[Seen] = field(default_factory=list)
    hooks: list[dict[str, str]] = field(default_factory=list)
    """The headers of each webhook, names in lower case."""
    hook_status: int = 200

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self, arrived: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not arrived():
            assert time.monotonic() < deadline, f"{what} did not arrive; there is: {[item.name for item in self.spans]}"
            time.sleep(0.1)

    def trace(self, trace_id: str) -> list[Seen]:
        return [item for item in list(self.spans) if item.trace_id == trace_id]

    def take(self, body: bytes) -> None:
        """Decode an export."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _attributes(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_seen(service, item) for item in scope.spans]


def _seen(service: str, item: Any) -> Seen:
    return Seen(
        service=service,
        name=item.name,
        trace_id=item.trace_id.hex(),
        span_id=item.span_id.hex(),
        parent_id=item.parent_span_id.hex(),
        kind=item.kind,
        attributes=_attributes(item.attributes),
        links=tuple(link.trace_id.hex() for link in item.links),
        failed=item.status.code == 2,
        began=item.start_time_unix_nano / 1e9,
        ended=item.end_time_unix_nano / 1e9,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    return {item.key: getattr(item.value, item.value.WhichOneof("value")) for item in pairs}


@contextmanager
def running_collector() -> Iterator[Collector]:
    """Listens on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = 200
            if self.path == "/v1/traces":
                assert self.headers["Content-Type"] == "application/x-protobuf"
                collector.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            else:
                collector.hooks.append({name.lower(): value for name, value in self.headers.items()})
                status = collector.hook_status
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join(10)
