"""200 clients that are as slow as they can be, beside normal traffic, against a real API process."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from common.job_states import Status
from common.settings import Settings
from dev.process import free_port, spawn, wait_until
from dev.stack import REPOSITORY
from tests.conftest import variables
from tests.db.job_cases import completed, database_of, storage_of
from tests.servers import ADMIN_KEY, WITH_KEY
from tests.waiting import until

HEAD_SECONDS, IDLE_SECONDS = 10.0, 10.0
EACH, READERS = 60, 20
POLLS = 20
# Enough that one transcript does not fit into the buffers between the two sides.
SENTENCES, CHARACTERS = 300, 200
KEY_LINE = f"Authorization: Bearer {ADMIN_KEY}\r\n"


@contextmanager
def api_process(settings: Settings, place: Path) -> Iterator[httpx.Client]:
    """`python -m api.main`, and a client of it."""
    environment = dict(os.environ) | variables(settings)
    child = spawn("api", [sys.executable, "-m", "api.main"], place / "api.log", env=environment, cwd=REPOSITORY)
    try:
        with httpx.Client(
            base_url=f"http://127.0.0.1:{settings.port}", headers=WITH_KEY, timeout=60, trust_env=False
        ) as client:
            wait_until(lambda: _answers(client), [child], 60, "the API did not answer")
            yield client
    finally:
        child.stop(seconds=20)


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/live").status_code == 200
    except httpx.TransportError:
        return False


def connected(port: int, first: str, *, small: bool = False) -> socket.socket:
    """A connection on which something was said."""
    client = socket.socket()
    if small:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    client.connect(("127.0.0.1", port))
    client.sendall(first.encode())
    return client


def slow_crowd(port: int, transcript: str) -> dict[str, list[socket.socket]]:
    """Clients that never finish a head, send nothing, never continue a body, or never read a response."""
    head = f"POST /v1/transcriptions HTTP/1.1\r\nHost: x\r\n{KEY_LINE}"
    body = f"{head}Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\nContent"
    read = f"GET {transcript} HTTP/1.1\r\nHost: x\r\n{KEY_LINE}\r\n"
    return {
        "head": [connected(port, head + "X-Slow: ") for _ in range(EACH)],
        "silent": [connected(port, "") for _ in range(EACH)],
        "body": [connected(port, body) for _ in range(EACH)],
        "reader": [connected(port, read, small=True) for _ in range(READERS)],
    }


def poll(client: httpx.Client, path: str) -> None:
    """Normal calls, which are answered."""
    for _ in range(POLLS):
        assert client.get(path).status_code == 200


def held(port: int) -> int:
    """How many connections the server on this port holds."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(local.endswith(f":{port:04X}") and state == "01" for _, local, _, state, *_ in lines)


def ended(client: socket.socket, deadline: float) -> bytes:
    """What the server said until it closed the connection, which it has to do before the deadline."""
    received = bytearray()
    while time.monotonic() < deadline:
        client.settimeout(max(0.1, deadline - time.monotonic()))
        try:
            piece = client.recv(65_536)
        except ConnectionResetError:
            return bytes(received)
        if not piece:
            return bytes(received)
        received += piece
    raise AssertionError("the server still holds the connection")


@pytest.fixture
def slow_settings(settings: Settings) -> Settings:
    changes = {
        "port": free_port(),
        "admin_key": SecretStr(ADMIN_KEY),
        "request_head_seconds": HEAD_SECONDS,
        "request_idle_seconds": IDLE_SECONDS,
        "tenant_requests_per_minute": 0,
    }
    known = {name: value for name, value in changes.items() if name in Settings.model_fields}
    return settings.model_copy(update=known)


def test_200_slow_clients_hold_nobody_up_and_are_let_go(slow_settings: Settings, tmp_path: Path) -> None:
    database = database_of(slow_settings)
    job = completed(database, None, *["字" * CHARACTERS for _ in range(SENTENCES)])
    path = f"/v1/transcriptions/{job.public_id}"
    assert job.status is Status.COMPLETED
    with api_process(slow_settings, tmp_path) as client:
        poll(client, path)
        crowd = slow_crowd(slow_settings.port, f"{path}/transcript")
        assert sum(len(clients) for clients in crowd.values()) == 200
        poll(client, path)
        assert held(slow_settings.port) > EACH, "the polls were answered only after the slow clients were let go"
        until(lambda: held(slow_settings.port) <= 1, 90)  # the client for polls has one
        deadline = time.monotonic() + 60
        answers = {kind: [ended(slow, deadline) for slow in crowd[kind]] for kind in ("head", "silent", "body")}
        for kind in ("head", "silent"):
            assert {answer.split(b"\r\n")[0] for answer in answers[kind]} == {b"HTTP/1.1 408 Request Timeout"}, kind
        assert all(answer.startswith(b"HTTP/1.1 408") and b"request_timeout" in answer for answer in answers["body"])
        whole = len(client.get(f"{path}/transcript").content)
        assert all(len(ended(slow, deadline)) < whole for slow in crowd["reader"]), (
            "an answer that nobody read is whole"
        )
        poll(client, path)
        incoming = storage_of(slow_settings).root / ".incoming"
        assert not incoming.exists() or not list(incoming.iterdir())
    database.close()


def test_a_head_without_end_is_refused(slow_settings: Settings, tmp_path: Path) -> None:
    with api_process(slow_settings, tmp_path):
        client = connected(slow_settings.port, "GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for number in range(10_000):
                client.sendall(f"X-{number}: {'a' * 1000}\r\n".encode())


def test_who_is_slow_but_steady_is_served(slow_settings: Settings, tmp_path: Path) -> None:
    """A body whose pauses are short takes longer than the limit of a pause as a whole."""
    pause = 0.5
    with api_process(slow_settings.model_copy(update={"request_idle_seconds": 3 * pause}), tmp_path) as client:

        def pieces() -> Iterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            for _ in range(5):
                time.sleep(pause)
                yield b"sound"
            yield b"\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        assert client.post("/v1/transcriptions", content=pieces(), headers=headers).status_code == 202
