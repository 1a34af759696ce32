"""The metrics port of a worker: in use at first, then queried by silent clients, and closed at the end."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from structlog.testing import capture_logs

from common.settings import Settings
from common.telemetry.metrics import Exposition
from dev.process import free_port
from tests.waiting import until
from worker import metrics_server
from worker.metrics_server import MetricsServer


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def server(port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[MetricsServer]:
    monkeypatch.setattr(metrics_server, "AGAIN_SECONDS", 0.1)
    made = MetricsServer(Settings(metrics_port=port), Exposition())
    yield made
    made.stop()


def answered(port: int) -> int | None:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False, timeout=10).status_code
    except httpx.TransportError:
        return None


def test_a_port_that_another_has_is_waited_for(server: MetricsServer, port: int) -> None:
    with socket.socket() as other, capture_logs() as logs:
        other.bind(("127.0.0.1", port))
        other.listen()
        server.start()
        until(lambda: "metrics_port_taken" in [line["event"] for line in logs])
    until(lambda: answered(port) == 200)


def test_a_client_that_says_nothing_holds_nobody_up(server: MetricsServer, port: int) -> None:
    server.start()
    until(lambda: answered(port) == 200)
    with socket.create_connection(("127.0.0.1", port)):
        assert answered(port) == 200


def test_after_the_end_nobody_listens(server: MetricsServer, port: int) -> None:
    server.start()
    until(lambda: answered(port) == 200)
    server.stop()
    assert answered(port) is None


def test_without_a_port_there_is_nothing_to_end() -> None:
    silent = MetricsServer(Settings(), Exposition())
    silent.start()
    silent.stop()


def test_a_reader_from_elsewhere_is_refused_without_a_token(port: int) -> None:
    made = MetricsServer(Settings(metrics_port=port, metrics_networks="10.0.0.0/8"), Exposition())
    made.start()
    until(lambda: answered(port) == 403)
    made.stop()
