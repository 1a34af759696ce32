"""Resumable uploads over HTTP: the protocol, on a directory and on an S3 store."""

from __future__ import annotations

import base64
import hashlib
import time
import uuid
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from common import audio_keys
from common.db import Database
from common.storage import Storage
from tests.api.api_cases import Api, problem_of
from tests.api.upload_cases import PATCH, TUS, begun, patched, standing
from tests.api.uploads.cases import LIMIT, MEBIBYTE, content_of, kept
from tests.db.job_cases import at_once, execute, one, rows
from tests.servers import WITH_KEY
from worker.light.cleaner import Cleaner


def test_the_service_says_what_it_can_do(api: Api) -> None:
    answer = api.client.options("/v1/uploads")
    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Max-Size"] == str(LIMIT)
    assert set(answer.headers["Tus-Extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "creation-defer-length",
        "termination",
        "expiration",
        "checksum",
    }


def test_an_upload_in_pieces_becomes_a_job(api: Api) -> None:
    content = content_of(20 * MEBIBYTE + 12_345)
    url = begun(api, len(content), name="会议.mp3")
    reached = 0
    for size in (1, 3 * MEBIBYTE, 9 * MEBIBYTE, 100, len(content)):
        answer = patched(api, url, content[reached : reached + size], reached)
        reached = min(reached + size, len(content))
        assert answer.status_code == 204, answer.text
        assert int(answer.headers["Upload-Offset"]) == standing(api, url) == reached
    assert kept(api, url) == content
    answer = api.client.post("/v1/transcriptions", json={"upload_id": url.rpartition("/")[2], "tags": ["a"]})
    assert answer.status_code == 202, answer.text
    job = answer.json()
    digest = hashlib.sha256(content).hexdigest()
    assert job["source"] == {
        "kind": "upload",
        "url": None,
        "name": "会议.mp3",
        "bytes": len(content),
        "sha256": digest,
    }
    assert job["id"].removeprefix("tr_") == url.rpartition("_")[2]
    assert job["tags"] == ["a"]
    assert kept(api, url) == content
    again = api.client.post("/v1/transcriptions", json={"upload_id": url.rpartition("/")[2]})
    assert job["id"] in problem_of(again, 409, "wrong_state")["detail"]
    # The bytes are the job's now, and go with it.
    problem_of(api.client.delete(url, headers=TUS), 409, "wrong_state")
    assert api.client.delete(f"/v1/transcriptions/{job['id']}").status_code == 204
    assert list(api.storage.keys("audio/")) == []


def test_an_upload_lies_where_its_job_looks_for_it() -> None:
    job_id = uuid.uuid4()
    assert audio_keys.upload(job_id).startswith(audio_keys.prefix(job_id))


def test_creation_with_the_first_bytes(api: Api) -> None:
    content = content_of(3000)
    answer = api.client.post("/v1/uploads", content=content[:1000], headers={**PATCH, "Upload-Length": "3000"})
    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "1000")
    url = answer.headers["Location"]
    assert patched(api, url, content[1000:], 1000).status_code == 204
    assert kept(api, url) == content


def test_a_length_that_is_told_later(api: Api) -> None:
    answer = api.client.post("/v1/uploads", headers={**TUS, "Upload-Defer-Length": "1"})
    assert (answer.status_code, answer.headers["Upload-Defer-Length"]) == (201, "1")
    url = answer.headers["Location"]
    assert patched(api, url, b"one ", 0).headers["Upload-Defer-Length"] == "1"
    answer = api.client.patch(url, content=b"two", headers={**PATCH, "Upload-Offset": "4", "Upload-Length": "7"})
    assert (answer.status_code, answer.headers["Upload-Length"]) == (204, "7")
    assert kept(api, url) == b"one two"
    early = begun(api, 10)
    answer = api.client.patch(early, content=b"x", headers={**PATCH, "Upload-Offset": "0", "Upload-Length": "11"})
    problem_of(answer, 422, "invalid_request")


def test_a_wrong_offset_is_a_conflict(api: Api) -> None:
    url = begun(api, 10)
    assert patched(api, url, b"12345", 0).status_code == 204
    for offset in (0, 4, 6, 10):
        answer = patched(api, url, b"x", offset)
        problem_of(answer, 409, "offset_mismatch")
        assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert standing(api, url) == 5


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_checksums(api: Api, algorithm: str) -> None:
    content = content_of(100_000)
    url = begun(api, len(content))

    def send(piece: bytes, offset: int, proof: bytes) -> httpx.Response:
        digest = base64.b64encode(hashlib.new(algorithm, proof).digest()).decode()
        return patched(api, url, piece, offset, **{"Upload-Checksum": f"{algorithm} {digest}"})

    assert send(content[:60_000], 0, content[:60_000]).status_code == 204
    problem_of(send(content[60_000:], 60_000, b"something else"), 460, "checksum_mismatch")
    assert standing(api, url) == 60_000
    assert send(content[60_000:], 60_000, content[60_000:]).status_code == 204
    assert kept(api, url) == content
    assert one(api.database, "SELECT sha256 FROM uploads") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("checksum", ["crc32 AAAA", "sha1", "sha1 ???", "sha1 AAAA", ""])
def test_checksums_that_mean_nothing(api: Api, checksum: str) -> None:
    url = begun(api, 4)
    problem_of(patched(api, url, b"1234", 0, **{"Upload-Checksum": checksum}), 422, "invalid_request")
    assert standing(api, url) == 0


def test_more_bytes_than_announced(api: Api) -> None:
    url = begun(api, 10)
    problem_of(patched(api, url, b"x" * 11, 0), 413, "upload_too_large")
    assert patched(api, url, b"x" * 4, 0).status_code == 204

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"y" * 65536

    answer = api.client.patch(url, content=endless(), headers={**PATCH, "Upload-Offset": "4"})
    problem_of(answer, 413, "upload_too_large")
    assert standing(api, url) == 4


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"Upload-Length": "5"}, 412, "tus_version"),
        ({"Tus-Resumable": "0.2.2", "Upload-Length": "5"}, 412, "tus_version"),
        ({**TUS}, 422, "invalid_request"),
        ({**TUS, "Upload-Length": "-1"}, 422, "invalid_request"),
        ({**TUS, "Upload-Length": "1e3"}, 422, "invalid_request"),
        ({**TUS, "Upload-Length": "5", "Upload-Defer-Length": "1"}, 422, "invalid_request"),
        ({**TUS, "Upload-Defer-Length": "2"}, 422, "invalid_request"),
        ({**TUS, "Upload-Length": str(LIMIT + 1)}, 413, "upload_too_large"),
        ({**TUS, "Upload-Length": "5", "Upload-Metadata": "filename ???"}, 422, "invalid_request"),
        ({**TUS, "Upload-Length": "5", "Upload-Metadata": "a YQ==,a YQ=="}, 422, "invalid_request"),
        ({**TUS, "Upload-Length": "5", "Upload-Metadata": "a " + "A" * 5000}, 422, "invalid_request"),
    ],
)
def test_uploads_that_cannot_begin(api: Api, headers: dict[str, str], status: int, code: str) -> None:
    answer = api.client.post("/v1/uploads", headers=headers)
    problem_of(answer, status, code)
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    assert rows(api.database, "SELECT id FROM uploads") == []


def test_what_a_patch_must_say(api: Api) -> None:
    url = begun(api, 5)
    wrong = {**TUS, "Upload-Offset": "0", "Content-Type": "application/octet-stream"}
    problem_of(api.client.patch(url, content=b"12345", headers=wrong), 415, "unsupported_media_type")
    problem_of(api.client.patch(url, content=b"12345", headers=PATCH), 422, "invalid_request")
    problem_of(patched(api, url.rpartition("_")[0] + "_" + "0" * 32, b"1", 0), 404, "not_found")
    problem_of(api.client.patch("/v1/uploads/nonsense", headers=PATCH), 404, "not_found")


def test_an_upload_without_bytes(api: Api) -> None:
    answer = api.client.post("/v1/transcriptions", json={"upload_id": begun(api, 0).rpartition("/")[2]})
    problem_of(answer, 422, "audio_empty")


def test_an_upload_that_is_not_complete_is_no_job(api: Api) -> None:
    url = begun(api, 10)
    patched(api, url, b"12345", 0)
    answer = api.client.post("/v1/transcriptions", json={"upload_id": url.rpartition("/")[2]})
    problem_of(answer, 409, "wrong_state")
    problem_of(api.client.post("/v1/transcriptions", json={"upload_id": "up_1"}), 404, "not_found")
    assert rows(api.database, "SELECT id FROM jobs") == []


def test_of_two_who_submit_one_upload_one_wins(api: Api) -> None:
    url = begun(api, 5)
    patched(api, url, b"12345", 0)

    def submit() -> int:
        with httpx.Client(base_url=api.client.base_url, headers=WITH_KEY, timeout=30) as client:
            return client.post("/v1/transcriptions", json={"upload_id": url.rpartition("/")[2]}).status_code

    assert sorted(at_once([submit] * 6)) == [202, 409, 409, 409, 409, 409]


def test_delete_also_by_another_method(api: Api) -> None:
    for method, extra in (("DELETE", {}), ("POST", {"X-HTTP-Method-Override": "DELETE"})):
        url = begun(api, 20 * MEBIBYTE)
        assert patched(api, url, content_of(10 * MEBIBYTE), 0).status_code == 204
        assert api.client.request(method, url, headers={**TUS, **extra}).status_code == 204
        problem_of(api.client.request("PATCH", url, headers={**PATCH, "Upload-Offset": "0"}), 404, "not_found")
        assert list(api.storage.keys("audio/")) == []
    url = begun(api, 4)
    override = {**PATCH, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert api.client.post(url, content=b"1234", headers=override).status_code == 204
    assert kept(api, url) == b"1234"


def test_expired_uploads_are_gone_with_their_bytes(api: Api) -> None:
    url = begun(api, 20 * MEBIBYTE)
    patched(api, url, content_of(9 * MEBIBYTE), 0)
    expires = api.client.head(url, headers=TUS).headers["Upload-Expires"]
    left = parsedate_to_datetime(expires).timestamp() - time.time()
    assert abs(left - api.settings.upload_retention_hours * 3600) < 600
    living = begun(api, 10)
    execute(api.database, "UPDATE uploads SET expires_at = now() - interval '1 s' WHERE length > 10")
    problem_of(patched(api, url, b"x", 9 * MEBIBYTE), 410, "expired")
    clean(api.settings, api.database, api.storage)
    problem_of(patched(api, url, b"x", 9 * MEBIBYTE), 404, "not_found")
    assert list(api.storage.keys("audio/")) == []
    assert standing(api, living) == 0


def clean(settings: Any, database: Database, storage: Storage) -> None:
    Cleaner(settings, database, storage).clean()
