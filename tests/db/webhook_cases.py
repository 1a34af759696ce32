"""A real receiver of webhooks on loopback, and deliveries to it. For the tests of webhooks."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
from standardwebhooks import Webhook

from common import webhooks
from common.db import Database
from common.jobs import Job
from common.secret_box import SecretBox
from common.webhooks import Delivery, DeliveryFilter, Endpoint, NewEndpoint
from dev.postgres import Postgres
from tests.db.job_cases import completed, execute, pool_on, submitted
from tests.servers import HttpServer
from tests.waiting import until
from worker.light.deliverer import Deliverer
from worker.light.sender import RetrySchedule, Sender

KEY = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
OWN_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
SEAL = SecretBox((KEY,))
TERMINAL_EVENTS = tuple(event.value for event in webhooks.DEFAULT_EVENTS)
ALL_EVENTS = tuple(event.value for event in webhooks.EventType)
PLAN = RetrySchedule(5, 72 * 3600)


@dataclass(frozen=True)
class Message:
    """A request that the receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]

    def verified(self, secret: str) -> Any:
        """The message, verified as a client does. Raises if the signature is wrong."""
        return Webhook(secret).verify(self.body, self.headers)


Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Receiver:
    """Answers each path according to `answer`, and records requests."""

    server: HttpServer
    messages: list[Message] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str, answer: Answer) -> str:
        """The address of a path that answers so."""

        def route(handler: BaseHTTPRequestHandler) -> None:
            body = handler.rfile.read(int(handler.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in handler.headers.items()}
            self.messages.append(Message(handler.path, headers, body))
            answer(handler)

        self.server.routes[f"/{path.partition('?')[0]}"] = route
        return self.server.url(path)

    def to(self, path: str) -> list[Message]:
        """The requests to a path."""
        return [message for message in self.messages if message.path == f"/{path}"]

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """Never answer, until the test ends."""
        self.let_go.wait(60)
        handler.close_connection = True


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer with a status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def reset(handler: BaseHTTPRequestHandler) -> None:
    """Cut the connection."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def drip(handler: BaseHTTPRequestHandler) -> None:
    """A header line every now and then, without end: no single read is slow."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    try:
        for number in range(200):
            handler.wfile.write(f"X-{number}: x\r\n".encode())
            time.sleep(0.05)
    except OSError:
        handler.close_connection = True


def after(seconds: float, answer: Answer) -> Answer:
    """Answer later."""

    def late(handler: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        answer(handler)

    return late


@contextmanager
def webhook_pool(postgres: Postgres) -> Iterator[Database]:
    """A pool on a database that the tests of one module share."""
    with pool_on(postgres) as database:
        yield database


def without_webhooks(database: Database) -> Database:
    """The database without jobs, endpoints and deliveries."""
    execute(database, "DELETE FROM jobs; DELETE FROM deliveries; DELETE FROM webhook_endpoints; DELETE FROM workers")
    return database


def registered(database: Database, url: str, events: tuple[str, ...] = TERMINAL_EVENTS) -> tuple[Endpoint, str]:
    """An endpoint, and its secret."""
    return webhooks.create_endpoint(database, SEAL, NewEndpoint(url, events))


def a_sender(**changes: Any) -> Sender:
    """A sender that may talk to loopback, with little patience."""
    sender = Sender(
        seal=SEAL,
        own_secrets=(OWN_SECRET,),
        public_url="https://asr.example.com",
        allowed_private=("127.0.0.1",),
        timeout_seconds=1.0,
        tls=httpx.create_ssl_context(),
    )
    return replace(sender, **changes)


@contextmanager
def delivering(database: Database, plan: RetrySchedule = PLAN, **changes: Any) -> Iterator[Deliverer]:
    """A deliverer at work."""
    deliverer = Deliverer(database, a_sender(**changes), plan)
    deliverer.start()
    try:
        yield deliverer
    finally:
        deliverer.stop()


def deliver(database: Database, plan: RetrySchedule = PLAN, **changes: Any) -> list[Delivery]:
    """Send what is due now, each once, and return the whole log, oldest first."""
    with delivering(database, plan, **changes):
        until(lambda: not webhooks.any_due(database))
    return log_of(database)


def log_of(database: Database) -> list[Delivery]:
    """All deliveries, oldest first."""
    page = webhooks.delivery_page(database, DeliveryFilter(), limit=1000)
    return list(reversed(page.deliveries))


def make_due(database: Database) -> None:
    """As if the pause, or the lease, were over."""
    execute(database, "UPDATE deliveries SET next_attempt_at = now() WHERE status = 'pending'")


def job_with_webhook(database: Database, url: str | None = None) -> Job:
    """A completed job, with news for its own URL and for every endpoint."""
    return completed(database, submitted(database, webhook_url=url, tags=("board",)))


def only(deliveries: list[Delivery]) -> Delivery:
    assert len(deliveries) == 1, deliveries
    return deliveries[0]
