"""A server whose links drip. For the tests of downloads."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler

from tests.servers import HttpServer


class Drips:
    """Links that send a byte and then nothing until `over`, or as long as somebody listens."""

    def __init__(self, server: HttpServer) -> None:
        self.over = threading.Event()
        self.listening = threading.Semaphore(0)
        self.server = server
        server.routes["/drip"] = self._answer

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        try:
            handler.wfile.write(b"\0")
            self.listening.release()
            while not self.over.wait(0.05):
                handler.wfile.write(b"\0")
        except OSError:
            return  # the worker hung up
