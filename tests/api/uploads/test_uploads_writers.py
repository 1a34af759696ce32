"""Uploads with several writers, with none that sends, and after a killed client."""

from __future__ import annotations

import hashlib
import random
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

from common import uploads
from tests.api.api_cases import Api, RawClient, problem_of
from tests.api.upload_cases import PATCH, TUS, begun, patched, standing
from tests.api.uploads.cases import MEBIBYTE, content_of, kept
from tests.db.job_cases import one
from tests.servers import WITH_KEY
from tests.waiting import until


def test_a_second_writer_is_told_at_once(api: Api) -> None:
    url = begun(api, 10)
    slow = RawClient(api.port)
    path = url.partition(str(api.port))[2]
    lines = [
        f"PATCH {path} HTTP/1.1",
        "Host: localhost",
        "Content-Length: 10",
        "Upload-Offset: 0",
    ]
    lines += [f"{name}: {value}" for name, value in (PATCH | WITH_KEY).items()]
    slow.socket.sendall("\r\n".join([*lines, "", ""]).encode() + b"123")
    until(lambda: one(api.database, "SELECT lock_token IS NOT NULL FROM uploads"))
    problem_of(patched(api, url, b"x", 0), 423, "upload_locked")
    problem_of(api.client.delete(url, headers=TUS), 423, "upload_locked")
    # Received bytes are kept when the connection breaks, or when nothing arrives for too long.
    slow.close()
    until(lambda: one(api.database, "SELECT lock_token IS NULL FROM uploads"))
    assert standing(api, url) == 3
    assert patched(api, url, b"4567890", 3).status_code == 204
    assert kept(api, url) == b"1234567890"


def test_who_sends_nothing_is_broken_off(api: Api) -> None:
    url = begun(api, 10)
    path = url.partition(str(api.port))[2]
    lines = [
        f"PATCH {path} HTTP/1.1",
        "Host: localhost",
        "Content-Length: 10",
        "Upload-Offset: 0",
    ]
    lines += [f"{name}: {value}" for name, value in (PATCH | WITH_KEY).items()]
    slow = RawClient(api.port)
    slow.socket.sendall("\r\n".join([*lines, "", ""]).encode() + b"1234")
    status, problem = slow.answer()
    assert (status, problem["code"]) == (400, "upload_incomplete")
    slow.close()
    assert standing(api, url) == 4


def test_many_writers_at_once_write_each_byte_once(api: Api) -> None:
    """Each client asks for the offset and sends from there; the one that loses the race asks again."""
    content = content_of(6 * MEBIBYTE, seed=5)
    url = begun(api, len(content))
    refused: list[int] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        with httpx.Client(headers=WITH_KEY, timeout=30) as client:
            while (offset := int(client.head(url, headers=TUS).headers["Upload-Offset"])) < len(content):
                piece = content[offset : offset + chance.randrange(1, 500_000)]
                answer = client.patch(url, content=piece, headers={**PATCH, "Upload-Offset": str(offset)})
                assert answer.status_code in {204, 409, 423}, answer.text
                refused.append(answer.status_code)
                time.sleep(chance.random() * 0.01)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert kept(api, url) == content
    assert {204} < set(refused)


def test_tuspy_killed_half_way_goes_on(api: Api, tmp_path: Path) -> None:
    content = content_of(9 * MEBIBYTE, seed=3)
    path = tmp_path / "meeting.wav"
    path.write_bytes(content)
    client = TusClient(f"{api.client.base_url}/v1/uploads", headers=dict(WITH_KEY))
    first = client.uploader(str(path), chunk_size=2 * MEBIBYTE, metadata={"filename": "meeting.wav"})
    first.upload(stop_at=5 * MEBIBYTE)
    url: Any = first.url  # which tuspy declares as None
    assert url is not None
    second = client.uploader(str(path), chunk_size=2 * MEBIBYTE, url=url, upload_checksum=True)
    assert second.offset == first.offset == standing(api, url)
    second.upload()
    assert kept(api, url) == content
    with pytest.raises(TusCommunicationError):
        client.uploader(str(path), url=url + "0").upload()


def test_the_hash_is_known_although_no_process_saw_all_bytes(api: Api) -> None:
    content = content_of(100_000)
    url = begun(api, len(content))
    patched(api, url, content[:50_000], 0)
    api_hashes(api).take(uuid.UUID(url.rpartition("_")[2]), 50_000)  # as after a restart
    patched(api, url, content[50_000:], 50_000)
    assert one(api.database, "SELECT sha256 FROM uploads") == hashlib.sha256(content).hexdigest()


def api_hashes(api: Api) -> uploads.Hashes:
    """Of the one service of this process."""
    return api.service.hashes
