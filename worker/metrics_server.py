"""`/metrics` for a process that is not a web server, on its own port and in its own threads."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from common.settings import MetricsSettings
from common.telemetry import get_logger
from common.telemetry.metrics import Exposition, Readers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

log = get_logger(__name__)
# How long a silent client may occupy its thread.
CLIENT_SECONDS = 10
# The previous process may still be finishing its last jobs and hold the port.
AGAIN_SECONDS = 10.0


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:
        """Suppress the log line for each scrape."""


class MetricsServer:
    """Serves the metrics while the process runs. If the port is in use, retries in the background."""

    def __init__(self, settings: MetricsSettings, exposition: Exposition) -> None:
        self._host, self._port = settings.metrics_host, settings.metrics_port
        self._readers = Readers(settings)
        self._exposition = exposition
        self._ending = threading.Event()
        self._server: WSGIServer | None = None
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Start serving if a port is configured."""
        if self._port:
            self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._ending.set()
        if self._server is not None:
            self._server.shutdown()
        if self._thread.ident is not None:
            self._thread.join(CLIENT_SECONDS)

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                server = make_server(self._host, self._port, self._answer, _Server, _Handler)
            except OSError as error:
                log.warning("metrics_port_taken", host=self._host, port=self._port, reason=error.strerror)
                self._ending.wait(AGAIN_SECONDS)
                continue
            with server:
                self._server = server
                log.info("metrics_served", host=self._host, port=self._port)
                server.serve_forever()

    def _answer(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        headers = {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name[:5] == "HTTP_"}
        status, media_type, text = "404 Not Found", "text/plain", b"the metrics are at /metrics\n"
        if environ["PATH_INFO"] == "/metrics":
            if self._readers.admit(headers, environ["REMOTE_ADDR"]):
                text, media_type = self._exposition.render(headers.get("accept", ""))
                status = "200 OK"
            else:
                text = b"this reader is not one of PARAQUEUE_METRICS_TOKEN or PARAQUEUE_METRICS_NETWORKS\n"
                status = "401 Unauthorized" if self._readers.need_token else "403 Forbidden"
        start_response(status, [("Content-Type", media_type), ("Content-Length", str(len(text)))])
        return [text]
