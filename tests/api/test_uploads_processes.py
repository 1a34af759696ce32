"""Resumable uploads through real processes: killed ones, two at once, clients that die; and the memory they take."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from common import audio_keys
from common.settings import Settings
from common.storage import Storage, make_storage
from dev.process import Child, free_port, spawn, stop_all, wait_until
from dev.stack import REPOSITORY
from tests.api.upload_cases import PATCH, TUS, bucket_settings
from tests.conftest import variables
from tests.js import node
from tests.servers import ADMIN_KEY, S3, WITH_KEY
from tests.waiting import until

MEBIBYTE = 1024 * 1024
# The lock of a killed process; in a directory and on S3.
TAKE_OVER_SECONDS = 15.0


@dataclass
class Replica:
    """An API process."""

    child: Child
    url: str

    def mebibytes(self) -> tuple[int, int]:
        """Memory that is in use now, and the most that ever was."""
        status = Path(f"/proc/{self.child.process.pid}/status").read_text()
        return tuple(int(kibibytes) // 1024 for kibibytes in re.findall(r"Vm(?:RSS|HWM):\s+(\d+) kB", status))[::-1]  # type: ignore[return-value]

    def forget_peak(self) -> None:
        """Reset the peak."""
        Path(f"/proc/{self.child.process.pid}/clear_refs").write_text("5")


@contextmanager
def replicas(settings: Settings, place: Path, number: int) -> Iterator[list[Replica]]:
    started = []
    for index in range(number):
        port = free_port()
        own = settings.model_copy(update={"port": port})
        environment = dict(os.environ) | variables(own) | {"PARAQUEUE_PORT": str(port)}
        child = spawn(
            f"api-{index}",
            [sys.executable, "-m", "api.main"],
            place / f"api-{index}.log",
            env=environment,
            cwd=REPOSITORY,
        )
        started.append(Replica(child, f"http://127.0.0.1:{port}"))
    try:
        children = [replica.child for replica in started]
        wait_until(lambda: all(_alive(replica) for replica in started), children, 120, "the API did not answer")
        yield started
    finally:
        stop_all([replica.child for replica in started], 20)


def _alive(replica: Replica) -> bool:
    try:
        return httpx.get(f"{replica.url}/health/live", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.slow)])
def stored(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """The settings, with storage of either kind."""
    if request.param == "local":
        return settings
    store: S3 = request.getfixturevalue("s3_server")
    return settings.model_copy(update=bucket_settings(store))


def create(replica: Replica, length: int) -> str:
    answer = httpx.post(
        f"{replica.url}/v1/uploads", headers={**TUS, **WITH_KEY, "Upload-Length": str(length)}, timeout=30
    )
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"].partition("/v1/")[2]


def offset_of(replica: Replica, path: str) -> int:
    return int(httpx.head(f"{replica.url}/v1/{path}", headers=TUS | WITH_KEY, timeout=30).headers["Upload-Offset"])


def append(replica: Replica, path: str, content: bytes | Iterator[bytes], offset: int) -> httpx.Response:
    headers = {**PATCH, **WITH_KEY, "Upload-Offset": str(offset)}
    return httpx.patch(f"{replica.url}/v1/{path}", content=content, headers=headers, timeout=120)


def kept(storage: Storage, path: str) -> str:
    """The SHA-256 of the object that an upload became."""
    key = audio_keys.upload(uuid.UUID(path.rpartition("_")[2]))
    digest = hashlib.sha256()
    for piece in storage.read(key, 0, storage.size(key)):
        digest.update(piece)
    return digest.hexdigest()


def without_end(content: bytes, quick: int, over: threading.Event) -> Iterator[bytes]:
    """The first `quick` bytes at once, the rest in drops, so that the upload cannot end before `over`."""
    yield from (content[start : start + MEBIBYTE] for start in range(0, quick, MEBIBYTE))
    for start in range(quick, len(content), 1024):
        if over.wait(0.1):
            return
        yield content[start : start + 1024]


def test_a_killed_api_loses_little_and_another_one_goes_on(stored: Settings, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(40 * MEBIBYTE)
    with replicas(stored, tmp_path, 2) as (first, second):
        path = create(first, len(content))
        killed = threading.Event()
        pieces = without_end(content, 24 * MEBIBYTE, killed)
        sending = threading.Thread(target=_ends_badly, args=(first, path, pieces))
        sending.start()
        until(lambda: offset_of(second, path) > 16 * MEBIBYTE, 60)
        assert append(second, path, b"x", offset_of(second, path)).status_code in {409, 423}
        os.kill(first.child.process.pid, signal.SIGKILL)
        first.child.process.wait()
        killed.set()
        sending.join(60)
        safe = offset_of(second, path)
        assert 16 * MEBIBYTE < safe < len(content)

        def taken_over() -> httpx.Response | None:
            answer = append(second, path, content[safe:], safe)
            if answer.status_code != 423:
                return answer
            assert int(answer.headers["Retry-After"]) > 0
            return None

        answer = until(taken_over)
        assert answer.status_code == 204, answer.text
        assert int(answer.headers["Upload-Offset"]) == len(content)
        assert kept(make_storage(stored), path) == hashlib.sha256(content).hexdigest()


def _ends_badly(replica: Replica, path: str, pieces: Iterator[bytes]) -> None:
    with pytest.raises(httpx.TransportError):
        append(replica, path, pieces, 0)


def test_two_replicas_take_turns(stored: Settings, tmp_path: Path) -> None:
    content = random.Random(2).randbytes(24 * MEBIBYTE + 77)
    with replicas(stored, tmp_path, 2) as both:
        path = create(both[0], len(content))
        chance = random.Random(3)
        reached, turn = 0, 0
        while reached < len(content):
            piece = content[reached : reached + chance.randrange(1, 5 * MEBIBYTE)]
            answer = append(both[turn % 2], path, piece, reached)
            assert answer.status_code == 204, answer.text
            reached += len(piece)
            turn += 1
            assert offset_of(both[turn % 2], path) == reached
        assert turn > 4
        assert kept(make_storage(stored), path) == hashlib.sha256(content).hexdigest()
        body = {"upload_id": path.rpartition("/")[2]}
        answer = httpx.post(f"{both[0].url}/v1/transcriptions", json=body, headers=WITH_KEY, timeout=30)
        assert answer.json()["source"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_tus_js_client_killed_half_way_goes_on(settings: Settings, tmp_path: Path) -> None:
    content = random.Random(4).randbytes(12 * MEBIBYTE)
    file = tmp_path / "meeting.wav"
    file.write_bytes(content)
    with replicas(settings, tmp_path, 1) as (api,):
        endpoint = f"{api.url}/v1/uploads"
        first = node("upload.mjs", endpoint, str(file), str(MEBIBYTE), str(5 * MEBIBYTE), API_KEY=ADMIN_KEY)
        stdout, stderr = first.communicate(timeout=120)
        assert first.returncode == -signal.SIGKILL, stderr
        url = stdout.split()[0]
        path = url.partition("/v1/")[2]
        reached = until(lambda: offset_of(api, path))
        assert 0 < reached < len(content)
        second = node("upload.mjs", endpoint, str(file), str(4 * MEBIBYTE), "0", url, API_KEY=ADMIN_KEY)
        _, stderr = second.communicate(timeout=120)
        assert second.returncode == 0, stderr
        assert kept(make_storage(settings), path) == hashlib.sha256(content).hexdigest()


def zeros(size: int) -> Iterator[bytes]:
    block = bytes(MEBIBYTE)
    for _ in range(size // MEBIBYTE):
        yield block


def peak_of(api: Replica, size: int) -> int:
    """The most memory, in MiB, that the API uses while that many bytes arrive."""
    api.forget_peak()
    path = create(api, size)
    assert append(api, path, zeros(size), 0).status_code == 204
    peak = api.mebibytes()[1]
    assert httpx.delete(f"{api.url}/v1/{path}", headers=TUS | WITH_KEY, timeout=60).status_code == 204
    return peak


@pytest.mark.parametrize("size", [128 * MEBIBYTE, pytest.param(10 * 1024 * MEBIBYTE, marks=pytest.mark.slow)])
def test_memory_does_not_grow_with_the_upload(stored: Settings, size: int, tmp_path: Path) -> None:
    settings = stored.model_copy(update={"max_upload_bytes": 20 * 1024 * MEBIBYTE})
    with replicas(settings, tmp_path, 1) as (api,):
        small, large = peak_of(api, 10 * MEBIBYTE), peak_of(api, size)
    print(f"peak {small} MiB with 10 MiB, {large} MiB with {size // MEBIBYTE} MiB")
    assert large < small + 40
