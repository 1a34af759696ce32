"""The API on a real socket with its database and storage, for tests of the API."""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import structlog
import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr

from admin.roles import API
from api.deps import Service
from api.main import create_app
from common import keys
from common.db import Database
from common.settings import Settings
from common.storage import LocalStorage, Storage
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from dev.valkey import Valkey
from tests.db.job_cases import database_of, emptied, storage_of
from tests.roles import as_role
from tests.servers import ADMIN_KEY, WITH_KEY, fresh_database
from tests.waiting import until


@dataclass(frozen=True)
class Api:
    """A running API with a client, and its database and storage."""

    settings: Settings
    port: int
    client: httpx.Client
    database: Database
    storage: Storage
    app: FastAPI

    @property
    def service(self) -> Service:
        """The parts of the running API."""
        service: Service = self.app.state.service
        return service

    @property
    def root(self) -> Path:
        """The directory of its storage, where that is a local one."""
        assert isinstance(self.storage, LocalStorage)
        return self.storage.root

    def submit_link(self, url: str = "https://example.com/meeting.mp3", **more: Any) -> httpx.Response:
        return self.client.post("/v1/transcriptions", json={"audio_url": url, **more})

    def submit_file(self, content: bytes = b"RIFF audio", name: str = "meeting.wav", **fields: Any) -> httpx.Response:
        return self.client.post("/v1/transcriptions", files={"file": (name, content)}, data=fields)

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.client.get(f"/v1/transcriptions{path}", **arguments)

    def objects(self) -> list[str]:
        return [key for key, _ in self.storage.keys("")]

    def half_written(self) -> list[Path]:
        incoming = self.root / ".incoming"
        return list(incoming.iterdir()) if incoming.exists() else []

    def emptied(self) -> Api:
        emptied(self.database)
        keys.ensure_admin_key(self.database, ADMIN_KEY)
        self.storage.delete_all("")
        return self


def api_settings(database_url: str, redis_url: str, place: Path, **more: Any) -> Settings:
    """As the fixture `settings`, but for a server that several tests share."""
    values: dict[str, Any] = {
        "database_url": SecretStr(database_url),
        "redis_url": SecretStr(redis_url),
        "storage_url": f"file:{place / 'storage'}",
        "models_dir": REPOSITORY / "models",
        "model": "demo-zh",
        "model_source": "local",
        "admin_key": SecretStr(ADMIN_KEY),
        "auth_failures_per_minute": 0,  # the wrong keys of all tests come from one address
    }
    return Settings(**values | more)


def _quiet(_: object, __: str, event: Any) -> Any:
    """Say nothing: structlog's own default draws each traceback in colours, with every setting in it."""
    return event["event"]


class Documented:
    """Checks that every response the tests receive has a status that the OpenAPI document lists for its operation."""

    def __init__(self, app: FastAPI) -> None:
        paths = sorted(app.openapi()["paths"].items(), key=lambda item: item[0].count("{"))
        self._calls = [(re.compile(re.sub(r"{[^}]+}", "[^/]+", path)), calls) for path, calls in paths]

    def check(self, response: httpx.Response) -> None:
        """Raise AssertionError for a status that is not documented."""
        path, method = response.request.url.path, response.request.method.lower()
        calls: dict[str, Any] = next((calls for pattern, calls in self._calls if pattern.fullmatch(path)), {})
        if method in calls:
            documented = calls[method]["responses"]
            assert str(response.status_code) in documented, f"{method} {path} answered {response.status_code}"


@contextmanager
def running_api(settings: Settings) -> Iterator[Api]:
    """uvicorn in a thread of this process; only the API has its role, the tests are the owner."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[_quiet])
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = int(listener.getsockname()[1])
        own = as_role(settings.database_url.get_secret_value(), API)
        app = create_app(settings.model_copy(update={"database_url": SecretStr(own)}))
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
            forwarded_allow_ips=list(settings.trusted_proxies),
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started or not thread.is_alive())
        database = database_of(settings)
        try:
            base_url = f"http://127.0.0.1:{port}"
            hooks = {"response": [Documented(app).check]}
            with httpx.Client(
                base_url=base_url, headers=WITH_KEY, timeout=30, trust_env=False, event_hooks=hooks
            ) as client:
                yield Api(settings, port, client, database, storage_of(settings), app)
        finally:
            database.close()
            server.should_exit = True
            thread.join(20)


@contextmanager
def shared_api(postgres: Postgres, valkey: Valkey, place: Path, **more: Any) -> Iterator[Api]:
    """An API that the tests of one module share; each begins with `emptied`."""
    with (
        fresh_database(postgres) as url,
        running_api(api_settings(url, valkey.url(), place, **more)) as api,
    ):
        yield api


def within_one_minute() -> None:
    """Return early in a minute of the clock: limits slide over its ends, and then let one call more through."""
    until(lambda: time.time() % 60 < 40, seconds=30)


def problem_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The body of an error, which has the form that all our errors have."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["code"] == code, body
    assert body["status"] == status
    assert body["type"] == f"urn:paraqueue:error:{code}"
    assert body["title"]
    assert body["detail"]
    assert isinstance(body["retryable"], bool)
    assert body["request_id"] == response.headers["x-request-id"]
    return body


def form(*parts: tuple[str, str | None, bytes], boundary: str = "") -> tuple[str, bytes]:
    """A content type and a body; a part is (name, file name or None, content)."""
    boundary = boundary or f"b{secrets.token_hex(8)}"
    body = bytearray()
    for name, file_name, content in parts:
        extra = f'; filename="{file_name}"' if file_name is not None else ""
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode()
        body += content + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", bytes(body)


class RawClient:
    """A client that can misbehave."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)

    def head(self, *, key: str = ADMIN_KEY, **headers: str) -> None:
        lines = ["POST /v1/transcriptions HTTP/1.1", "Host: localhost", f"Authorization: Bearer {key}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())

    def chunk(self, content: bytes) -> None:
        self.socket.sendall(f"{len(content):x}\r\n".encode() + content + b"\r\n")

    def answered(self) -> bool:
        """Whether something can be read, without waiting."""
        self.socket.setblocking(False)
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        finally:
            self.socket.settimeout(20)

    def answer(self) -> tuple[int, dict[str, Any]]:
        """The status and body of the response."""
        received = b""
        while b"\r\n\r\n" not in received:
            received += self.socket.recv(65_536)
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        while len(body) < length:
            body += self.socket.recv(65_536)
        return int(head.split()[1]), json.loads(body)

    def close(self) -> None:
        self.socket.close()
