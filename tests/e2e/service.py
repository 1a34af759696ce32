"""The whole service as real processes, started the way an operator starts them, and a client of its API."""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psycopg
import redis

from admin.roles import API, LIGHT, WORKER
from common.settings import Settings
from common.transcript.values import Word
from dev.process import Child, free_port, spawn, stop_all, wait_until
from dev.stack import REPOSITORY
from dev.valkey import Valkey
from tests.conftest import variables
from tests.roles import as_role
from tests.servers import ADMIN_KEY, WITH_KEY, fresh_database, running_valkey

Answer = dict[str, Any]
ROLES = {
    "api.main": API,
    "worker.light": LIGHT,
    **dict.fromkeys(("worker.transcription", "tests.e2e.crashing_worker", "tests.e2e.device_losing_worker"), WORKER),
}
TERMINAL = {"completed", "failed", "canceled"}
READY_SECONDS = 180.0
DONE_SECONDS = 500.0
# For what tests wait for; leases are short only where a test loses one, and workers slower than that are none.
SHORT_TIMES = {"sweep_seconds": 1.0, "redispatch_seconds": 4.0, "retry_base_seconds": 0.5, "part_seconds": 30.0}
SHORT_LEASES = {"lease_seconds": 3.0}


@dataclass
class Service:
    """Running processes; start and stop more of them as a test likes."""

    settings: Settings
    place: Path
    valkey: Valkey
    children: dict[str, Child] = field(default_factory=dict)
    more_environment: dict[str, dict[str, str]] = field(default_factory=dict)
    """What single processes get besides, by their names."""

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.settings.port}"

    @cached_property
    def client(self) -> httpx.Client:
        """A client with a key for everything."""
        return httpx.Client(base_url=self.url, headers=WITH_KEY, timeout=60, trust_env=False)

    def start(self, name: str, *command: str) -> Child:
        """Start `python -m command`, with the database role that it has for operators who set these up."""
        environment = dict(os.environ) | variables(self.settings) | {"PYTHONUNBUFFERED": "1"}
        if command[0] in ROLES:
            environment["PARAQUEUE_DATABASE_URL"] = as_role(environment["PARAQUEUE_DATABASE_URL"], ROLES[command[0]])
        environment |= self.more_environment.get(name, {})
        log = self.place / "logs" / f"{name}.log"
        child = spawn(name, [sys.executable, "-m", *command], log, env=environment, cwd=REPOSITORY)
        self.children[name] = child
        return child

    def start_worker(self, name: str) -> Child:
        """Start a GPU worker and wait until it takes jobs."""
        child = self.start(name, "worker.transcription")
        wait_until(lambda: "worker_ready" in child.log.read_text(), [child], READY_SECONDS, f"{name} was not ready")
        return child

    def start_api(self) -> None:
        """Only the API; returns when it serves."""
        api = self.start("api", "api.main")
        wait_until(self._serves, [api], READY_SECONDS, "the API did not answer")

    def start_all(self) -> None:
        """One process of each kind; returns when a job could run."""
        worker = self.start("worker", "worker.transcription")
        self.start("api", "api.main")
        self.start("light", "worker.light")
        schedule = str(self.place / "beat-schedule")
        self.start("beat", "celery", "-A", "common.queue", "beat", "--schedule", schedule)
        waiting = list(self.children.values())
        wait_until(self._serves, waiting, READY_SECONDS, "the API did not answer")
        wait_until(lambda: "worker_ready" in worker.log.read_text(), waiting, READY_SECONDS, "no worker was ready")

    def stop(self) -> None:
        """SIGTERM to all, SIGKILL to who does not listen."""
        self.client.close()
        stop_all(list(self.children.values()), 40)

    def _serves(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health/live", timeout=5, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def upload(self, path: Path, **options: str) -> str:
        """Submit a file; the id of the job."""
        with path.open("rb") as file:
            files = {"file": (path.name, file)}
            return self._accepted(self.client.post("/v1/transcriptions", files=files, data=options))

    def link(self, url: str, **options: str) -> str:
        """Submit a link; the id of the job."""
        return self._accepted(self.client.post("/v1/transcriptions", json={"audio_url": url, **options}))

    def _accepted(self, answer: httpx.Response) -> str:
        assert answer.status_code == 202, answer.text
        job: Answer = answer.json()
        assert answer.headers["Location"].endswith(f"/v1/transcriptions/{job['id']}")
        return str(job["id"])

    def job(self, job_id: str) -> Answer:
        """The current job."""
        answer = self.client.get(f"/v1/transcriptions/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(self, job_id: str, until: Callable[[Answer], bool], seconds: float = DONE_SECONDS) -> Answer:
        """Poll, as a client does."""
        deadline = time.monotonic() + seconds
        while not until(job := self.job(job_id)):
            assert time.monotonic() < deadline, f"{job}; the logs are in {self.place / 'logs'}"
            time.sleep(0.1)
        return job

    def finished(self, job_id: str, seconds: float = DONE_SECONDS) -> Answer:
        """The job when it is completed."""
        job = self.wait(job_id, lambda job: job["status"] in TERMINAL, seconds)
        assert job["status"] == "completed", job
        return job

    def transcript(self, job_id: str, form: str = "json") -> httpx.Response:
        """The transcript in one of its forms."""
        answer = self.client.get(f"/v1/transcriptions/{job_id}/transcript", params={"format": form})
        assert answer.status_code == 200, answer.text
        return answer

    def sentences(self, job_id: str) -> list[Answer]:
        """The sentences of a transcript."""
        return list(self.transcript(job_id).json()["sentences"])

    def parts(self, job_id: str) -> int:
        """How many parts of a job are committed."""
        with psycopg.connect(self.settings.database_url.get_secret_value()) as connection:
            cursor = connection.execute("SELECT count(*) FROM parts WHERE job_id = %s", [job_id.partition("_")[2]])
            return int((cursor.fetchone() or (0,))[0])

    def wait_for_parts(self, job_id: str, number: int) -> None:
        """Until a worker is in the middle of a job."""
        self.wait(job_id, lambda job: self.parts(job_id) >= number or job["status"] in TERMINAL)
        assert self.job(job_id)["status"] == "processing", "it ended before the fault"

    def lose_all_messages(self) -> None:
        """Empty Redis."""
        with redis.Redis.from_url(self.valkey.url()) as client:
            client.flushall()


@contextmanager
def running_service(
    database_url: str,
    valkey: Valkey,
    place: Path,
    more_environment: dict[str, dict[str, str]] | None = None,
    *,
    only_api: bool = False,
    **changes: Any,
) -> Iterator[Service]:
    """All processes, or only the API, on servers that run already; none of them is left afterwards."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "redis_url": valkey.url(),
        "storage_url": f"file:{place / 'storage'}",
        "scratch_dir": place / "scratch",
        "models_dir": REPOSITORY / "models",
        "model": "demo-zh",
        "model_source": "local",
        "device": "cpu",
        "torch_threads": 1,  # two that spin while a busy machine lets only one of them run are slower
        "port": free_port(),
        "fetch_allowed_private": ("127.0.0.1",),
        "admin_key": ADMIN_KEY,
    }
    service = Service(Settings(**(values | SHORT_TIMES | changes)), place, valkey)
    service.more_environment = more_environment or {}
    try:
        (service.start_api if only_api else service.start_all)()
        yield service
    finally:
        sessions = {child.process.pid for child in service.children.values()}
        service.stop()
        left = processes_of(sessions)
        scratch = list((place / "scratch").glob("*/*")) if (place / "scratch").exists() else []
        assert not left, f"left behind: {left}"
        assert not scratch, f"left on the scratch disk: {scratch}"


@contextmanager
def fresh_service(postgres: Any, place: Path, **changes: Any) -> Iterator[Service]:
    """A service on a database and a Valkey of its own."""
    with (
        fresh_database(postgres) as url,
        running_valkey(place) as valkey,
        running_service(url, valkey, place, **changes) as service,
    ):
        yield service


def processes_of(sessions: set[int]) -> list[str]:
    """The name and command of each process of the sessions, that is, of a child that we started or of its children."""
    commands = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            name, _, fields = (directory / "stat").read_text().partition("(")[2].rpartition(")")
            state, _, _, session = fields.split()[:4]
            if int(session) in sessions and state != "Z":
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()[:200]
                commands.append(f"{name}: {command}")
        except (FileNotFoundError, ProcessLookupError):
            continue
    return commands


def peak_mebibytes(child: Child) -> int:
    """The most memory that a process ever held."""
    status = Path(f"/proc/{child.process.pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) // 1024


def words_of(sentences: list[Answer]) -> list[Word]:
    """The words of a transcript in JSON."""
    return [
        Word(word["text"], word["start_ms"], word["end_ms"], word["confidence"])
        for sentence in sentences
        for word in sentence["words"]
    ]


def spoken_words_of(sentences: list[Answer]) -> list[Word]:
    """The words of a transcript in JSON; the last of a sentence ends where the sentence does.

    Words carry FunASR's token times, which end 240 ms after their start; sentences say when the speech ended.
    """
    words: list[Word] = []
    for sentence in sentences:
        words += words_of([sentence])
        words[-1] = replace(words[-1], end_ms=sentence["end_ms"])
    return words


def without_confidence(sentences: list[Answer]) -> list[Answer]:
    """What must be the same to the letter and the millisecond, whatever ran beside it or broke in between."""
    return [
        {name: value for name, value in sentence.items() if name not in {"confidence", "words"}}
        | {"words": [(word["text"], word["start_ms"], word["end_ms"]) for word in sentence["words"]]}
        for sentence in sentences
    ]
