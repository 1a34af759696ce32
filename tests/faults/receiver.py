"""A receiver of webhooks that can be in a bad mood."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.db.webhook_cases import OWN_SECRET, Message, reset, status
from tests.servers import HttpServer, running_http_server

HANG_SECONDS = 30.0


class Receiver:
    """Remembers every message that it answered with success; misbehaves in four ways in turn while it is `angry`."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.angry = threading.Event()
        self.misled: list[Message] = []
        self.refused = 0
        self._taken: list[Message] = []
        self._calm = threading.Event()
        self._lock = threading.Lock()
        self._moods = itertools.cycle(("fails", "hangs", "resets", "redirects"))
        server.routes["/hook"] = self._hook
        server.routes["/elsewhere"] = self._elsewhere

    @property
    def url(self) -> str:
        """Where webhooks go."""
        return self.server.url("/hook")

    def taken(self) -> list[Message]:
        """The messages received so far."""
        with self._lock:
            return list(self._taken)

    def turn_angry(self) -> None:
        """From now on nothing succeeds."""
        self._calm.clear()
        self.angry.set()

    def calm_down(self) -> None:
        """From now on everything succeeds; hanging requests are released."""
        self.angry.clear()
        self._calm.set()

    def _hook(self, handler: BaseHTTPRequestHandler) -> None:
        message = _read(handler)
        if not self.angry.is_set():
            message.verified(OWN_SECRET)  # raises, so that the sender gets no answer, where the signature is wrong
            with self._lock:
                self._taken.append(message)
            status(204)(handler)
            return
        with self._lock:
            self.refused += 1
            mood = next(self._moods)
        if mood == "fails":
            status(500, b"out of order")(handler)
        elif mood == "hangs":
            self._calm.wait(HANG_SECONDS)
            handler.close_connection = True
        elif mood == "resets":
            reset(handler)
        else:
            status(302, Location=self.server.url("/elsewhere"))(handler)

    def _elsewhere(self, handler: BaseHTTPRequestHandler) -> None:
        """The target of the redirect: no request should arrive here."""
        self.misled.append(_read(handler))
        status(204)(handler)


def _read(handler: BaseHTTPRequestHandler) -> Message:
    body = handler.rfile.read(int(handler.headers["Content-Length"]))
    return Message(handler.path, {name.lower(): value for name, value in handler.headers.items()}, body)


@contextmanager
def running_receiver(directory: Path) -> Iterator[Receiver]:
    """A receiver on a free port; the files of `directory` can be had from it as links."""
    directory.mkdir(parents=True, exist_ok=True)
    with running_http_server(directory) as server:
        receiver = Receiver(server)
        try:
            yield receiver
        finally:
            receiver.calm_down()
