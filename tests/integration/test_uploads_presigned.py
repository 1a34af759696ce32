"""Uploads that go to the object store directly, and what is checked when they are complete."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from common import uploads
from common.storage import make_storage
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.integration.api_cases import Api, problem_of, shared_api
from tests.integration.job_cases import execute, one
from tests.integration.upload_cases import bucket_settings
from tests.servers import S3

MEBIBYTE = 1024 * 1024


@pytest.fixture(scope="module")
def shared(
    postgres: Postgres, valkey: Valkey, s3_server: S3, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    more = bucket_settings(s3_server)
    with shared_api(postgres, valkey, tmp_path_factory.mktemp("api"), max_upload_bytes=256 * MEBIBYTE, **more) as api:
        yield replace(api, storage=make_storage(api.settings))


@pytest.fixture
def api(shared: Api) -> Api:
    execute(shared.database, "DELETE FROM uploads; DELETE FROM jobs")
    return shared


def begun(api: Api, size: int) -> dict[str, Any]:
    answer = api.client.post("/v1/uploads/presigned", json={"bytes": size, "name": "../会议.mp3"})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def put(part: dict[str, Any], content: bytes) -> None:
    """As a client that has no key of ours, but only the address."""
    answer = httpx.put(part["url"], content=content, timeout=60)
    assert answer.status_code == 200, answer.text


def completed(api: Api, upload: dict[str, Any]) -> httpx.Response:
    return api.client.post(f"/v1/uploads/{upload['id']}/complete")


def test_a_small_file_is_one_put(api: Api) -> None:
    content = random.Random(1).randbytes(100_000)
    upload = begun(api, len(content))
    assert [(part["number"], part["bytes"]) for part in upload["parts"]] == [(1, len(content))]
    early = api.client.post("/v1/transcriptions", json={"upload_id": upload["id"]})
    problem_of(early, 409, "wrong_state")
    problem_of(completed(api, upload), 400, "upload_incomplete")
    put(upload["parts"][0], content)
    for _ in range(2):
        answer = completed(api, upload)
        assert (answer.status_code, answer.json()["complete"]) == (200, True)
    job = api.client.post("/v1/transcriptions", json={"upload_id": upload["id"]}).json()
    assert job["source"]["name"] == "会议.mp3"
    assert job["source"]["sha256"] == hashlib.sha256(content).hexdigest()
    # The address is dead now: nobody changes the bytes behind our back.
    assert httpx.put(upload["parts"][0]["url"], content=b"x" * len(content), timeout=60).status_code >= 400
    key = uploads.key_of(uuid.UUID(upload["id"].partition("_")[2]))
    assert b"".join(api.storage.read(key, 0, len(content))) == content


def test_a_large_file_is_a_put_for_each_part_in_any_order(api: Api) -> None:
    content = random.Random(2).randbytes(64 * MEBIBYTE + 5)
    upload = begun(api, len(content))
    assert [part["bytes"] for part in upload["parts"]] == [64 * MEBIBYTE, 5]
    put(upload["parts"][1], content[64 * MEBIBYTE :])
    problem_of(completed(api, upload), 400, "upload_incomplete")
    put(upload["parts"][0], content[: 64 * MEBIBYTE])
    assert completed(api, upload).json()["complete"] is True
    assert one(api.database, "SELECT sha256 FROM uploads") == hashlib.sha256(content).hexdigest()


def test_more_bytes_than_announced_end_the_upload(api: Api) -> None:
    upload = begun(api, 10)
    put(upload["parts"][0], b"x" * 11)
    problem_of(completed(api, upload), 413, "upload_too_large")
    problem_of(completed(api, upload), 404, "not_found")
    problem_of(api.client.post("/v1/uploads/presigned", json={"bytes": 257 * MEBIBYTE}), 413, "upload_too_large")
    problem_of(api.client.post("/v1/uploads/presigned", json={"bytes": 0}), 422, "invalid_request")


def test_a_directory_has_no_addresses(postgres: Postgres, valkey: Valkey, tmp_path: Any) -> None:
    with shared_api(postgres, valkey, tmp_path) as api:
        problem_of(api.client.post("/v1/uploads/presigned", json={"bytes": 10}), 422, "invalid_request")
