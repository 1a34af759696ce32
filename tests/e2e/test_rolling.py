"""An upgrade without downtime: every process of a service under load is replaced, one after another."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from dev.postgres import Postgres
from dev.process import Child, free_port, wait_until
from dev.stack import REPOSITORY, alembic
from tests.e2e.recordings import Recording, write
from tests.e2e.service import READY_SECONDS, TERMINAL, Service, fresh_service, without_confidence
from tests.servers import WITH_KEY
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Proxy:
    """Two APIs as a proxy before them would call them: the other one where one does not take the connection."""

    def __init__(self, ports: list[int]) -> None:
        self.ports = ports
        self._turn = itertools.count()

    def call(self, method: str, path: str, **options: object) -> httpx.Response:
        first = next(self._turn) % 2
        for port in (self.ports[first], self.ports[1 - first]):
            try:
                # A new connection for each call, as behind a proxy without keep-alive. `verify`: nothing here is
                # encrypted, and to load the certificates each time costs more than the call.
                with httpx.Client(trust_env=False, timeout=60, headers=WITH_KEY, verify=False) as client:
                    return client.request(method, f"http://127.0.0.1:{port}{path}", **options)  # type: ignore[arg-type]
            except httpx.ConnectError:
                continue
        raise AssertionError("neither API takes a connection")


@contextmanager
def load(proxy: Proxy, audio: Path) -> Iterator[tuple[list[str], list[str]]]:
    """Submits and reads without a pause, a few jobs at a time; gives the jobs and what went wrong."""
    jobs: list[str] = []
    wrong: list[str] = []
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            try:
                with audio.open("rb") as file:
                    made = proxy.call("POST", "/v1/transcriptions", files={"file": ("a.mp3", file)})
                listed = proxy.call("GET", "/v1/transcriptions?limit=5")
                if (made.status_code, listed.status_code) != (202, 200):
                    wrong.append(f"{made.status_code} {listed.status_code}: {made.text[:200]}")
                    continue
                job = made.json()["id"]
                jobs.append(job)
                unfinished = True
                while unfinished and not ended.wait(0.1):
                    polled = proxy.call("GET", f"/v1/transcriptions/{job}")
                    if polled.status_code != 200:
                        wrong.append(f"{polled.status_code}: {polled.text[:200]}")
                        break
                    unfinished = polled.json()["status"] not in TERMINAL
            except (httpx.HTTPError, AssertionError) as error:
                wrong.append(repr(error))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield jobs, wrong
    finally:
        ended.set()
        for thread in threads:
            thread.join(120)


def answers(port: int) -> bool:
    try:
        url = f"http://127.0.0.1:{port}/health/live"
        return httpx.get(url, timeout=5, trust_env=False, verify=False).status_code == 200
    except httpx.TransportError:
        return False


def start_api(service: Service, name: str, port: int) -> Child:
    settings = service.settings
    service.settings = settings.model_copy(update={"port": port})
    try:
        child = service.start(name, "api.main")
    finally:
        service.settings = settings
    wait_until(lambda: answers(port), [child], READY_SECONDS, f"{name} did not answer")
    return child


def test_every_process_is_replaced_and_no_call_fails(
    postgres: Postgres, long_recording: Recording, tmp_path: Path
) -> None:
    audio = write(long_recording.samples[: 16_000 * 30], tmp_path / "half.mp3", "-b:a", "48k")
    with fresh_service(postgres, tmp_path, part_seconds=10.0, worker_slots=2) as service:
        expected = without_confidence(service.sentences(service.finished(service.upload(audio))["id"]))
        second = free_port()
        start_api(service, "api-2", second)
        proxy = Proxy([service.settings.port, second])
        with load(proxy, audio) as (jobs, wrong):
            until(lambda: len(jobs) > 2, seconds=300)
            url = service.settings.database_url.get_secret_value()
            alembic(["upgrade", "head"], url, tmp_path / "logs", REPOSITORY)
            for name, port in (("api", service.settings.port), ("api-2", second)):
                service.children.pop(name).stop(60)
                start_api(service, name, port)
            service.start_worker("worker-2")
            service.children.pop("worker").stop(180)
            service.start_worker("worker")
            service.children.pop("worker-2").stop(180)
            service.children.pop("light").stop(60)
            service.start("light", "worker.light")
            before = len(jobs)
            until(lambda: len(jobs) > before + 2, seconds=300)
        assert wrong == []
        for job in jobs:
            done = service.finished(job)
            assert not [attempt for attempt in done["attempts"] if attempt["outcome"] in {"lost", "failed"}]
            assert without_confidence(service.sentences(job)) == expected
        with psycopg.connect(url) as connection:
            [[released]] = connection.execute("SELECT count(*) FROM attempts WHERE outcome = 'released'").fetchall()
        assert released > 0, "no job was under way when its worker was told to end"
