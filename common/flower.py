"""Flower, entirely behind its password: `python -m celery -A common.flower flower`.

Flower itself asks for the credentials in FLOWER_BASIC_AUTH on its pages and its API only: it serves `/metrics`, with
the names of workers and tasks, to anyone, and everything if no credentials are set. Here it does not start without
credentials and asks for them on every path except `/healthcheck`.
"""

from __future__ import annotations

import hmac
import sys
from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from flower.app import Flower
from tornado.httputil import HTTPServerRequest
from tornado.web import Application, RequestHandler

from common.queue import app

__all__ = ["app"]

HEALTH = "healthcheck"


class Denied(RequestHandler):
    """Answers 401 to any request."""

    def prepare(self) -> None:
        """Ask the browser for a user and password."""
        self.set_status(401)
        self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        self.finish("Access denied")


def accepts(credentials: Iterable[str], header: str) -> bool:
    """Whether an Authorization header contains one of the credentials, each `user:password`."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        given = b64decode(encoded.strip(), validate=True)
    except ValueError:
        return False
    return any(hmac.compare_digest(known.encode(), given) for known in credentials)


def _find_handler(self: Any, request: HTTPServerRequest, **options: Any) -> Any:
    prefix = (self.options.url_prefix or "").strip("/")
    health = f"/{prefix}/{HEALTH}" if prefix else f"/{HEALTH}"
    if request.path != health and not accepts(self.options.basic_auth, request.headers.get("Authorization", "")):
        return self.get_handler_delegate(request, Denied)
    return Application.find_handler(self, request, **options)


def _start_http_server(self: Any) -> Any:
    if not self.options.basic_auth:
        sys.exit("paraqueue: Flower needs a password: set FLOWER_BASIC_AUTH to user:password")
    return START(self)


START = Flower.start_http_server
Flower.find_handler = _find_handler
Flower.start_http_server = _start_http_server
