"""The operator's commands on a running installation: draining, taking a job away, and a doctor who finds it well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest
import redis
from typer.testing import CliRunner, Result

from admin.cli import app
from dev.postgres import Postgres
from dev.stack import REPOSITORY
from tests.conftest import variables
from tests.e2e.service import Service, fresh_service
from tests.servers import HttpServer, send_file
from tests.waiting import until

SAMPLE = REPOSITORY / "samples" / "meeting.mp3"
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def service(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with fresh_service(postgres, tmp_path_factory.mktemp("admin")) as service:
        yield service


class Gate:
    """A recording that is not sent until the gate is opened."""

    def __init__(self, server: HttpServer) -> None:
        self.open = threading.Event()
        self.requests = 0
        self.url = server.url("/meeting.mp3")
        server.routes["/meeting.mp3"] = self.answer

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.requests += 1
        assert self.open.wait(300)
        send_file(handler, SAMPLE)


def admin(service: Service, *arguments: str) -> Result:
    """Run a command in this process: starting a process for each takes longer than the command."""
    return CliRunner().invoke(app, list(arguments), env=variables(service.settings))


def worker_of(service: Service) -> str:
    [known] = json.loads(admin(service, "workers", "--json").stdout)
    return str(known["worker"]["id"])


def test_a_running_installation_is_well(service: Service) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "admin", "doctor", "--json", "--timeout", "60"],
        env=dict(os.environ) | variables(service.settings),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    results = {item["name"]: item for item in json.loads(ran.stdout)}
    assert ran.returncode == 0, ran.stdout
    may_warn = {"disk", "secrets"}
    assert {name for name, item in results.items() if item["level"] != "ok"} <= may_warn, ran.stdout
    assert results["workers"]["message"] == "1 for demo-zh with 4 slots"


def test_a_worker_is_drained_goes_on_and_is_drained_to_its_end(service: Service, http_server: HttpServer) -> None:
    gate = Gate(http_server)
    running = service.link(gate.url)
    service.wait(running, lambda job: job["status"] == "processing")
    worker = worker_of(service)
    assert admin(service, "drain", worker).exit_code == 0
    log = service.children["worker"].log
    until(lambda: "worker_draining" in log.read_text())
    waiting = service.upload(SAMPLE)
    time.sleep(3)
    assert service.job(waiting)["status"] == "queued", "it took a job although it drains"
    with redis.Redis.from_url(service.valkey.url()) as client:
        client.lpush("transcribe.demo-zh", "not even read")
        time.sleep(1.5)
        assert client.llen("transcribe.demo-zh") == 1, "it still reads its queue"
        # Nor after it had to reconnect.
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
        time.sleep(3)
        assert client.llen("transcribe.demo-zh") == 1, "it reads its queue again"
        client.delete("transcribe.demo-zh")
    gate.open.set()
    # Its link is downloaded to the end; then it waits for a slot, as others do.
    service.wait(running, lambda job: job["status"] == "queued")
    assert service.job(waiting)["status"] == "queued"
    assert admin(service, "undrain", worker).exit_code == 0
    service.finished(running)
    service.finished(waiting)
    ended = admin(service, "drain", worker, "--end", "--wait", "--timeout", "120")
    assert (ended.exit_code, ended.stdout) == (0, f"{worker} drained\n")
    child = service.children.pop("worker")
    assert child.process.wait(60) == 0
    assert admin(service, "workers", "--json").stdout.strip() == "[]"
    service.start_worker("worker")


def test_a_job_is_taken_from_its_worker(service: Service, http_server: HttpServer) -> None:
    gate = Gate(http_server)
    job = service.link(gate.url)
    service.wait(job, lambda _: gate.requests == 1)
    worker = worker_of(service)
    ran = admin(service, "requeue", job)
    assert ran.stdout == f"{job} queued; taken from {worker}\n"
    gate.open.set()
    done = service.finished(job)
    assert [attempt["outcome"] for attempt in done["attempts"]] == ["released", "fetched", "completed"]


def test_stuck_names_what_waits_for_a_worker(service: Service) -> None:
    assert admin(service, "stuck").exit_code == 0
    service.children.pop("worker").stop(40)
    waiting = service.upload(SAMPLE)
    ran = admin(service, "stuck")
    assert (ran.exit_code, ran.stdout.startswith("demo-zh")) == (1, True)
    service.start_worker("worker")
    service.finished(waiting)
