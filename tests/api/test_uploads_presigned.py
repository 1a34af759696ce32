"""Uploads that go to the object store directly, and what is checked when they are complete."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from api.auth import identities
from common import audio_keys, keys
from common.keys import ALL_SCOPES, NewKey
from common.storage import make_storage, s3_client
from common.tenants import OwnLimits
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, problem_of, shared_api
from tests.api.upload_cases import bucket_settings
from tests.db.job_cases import execute, one
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
    """As a client that has only the URL and no API key."""
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
    # The URL is invalid now: the bytes can no longer be changed.
    assert httpx.put(upload["parts"][0]["url"], content=b"x" * len(content), timeout=60).status_code >= 400
    key = audio_keys.upload(uuid.UUID(upload["id"].partition("_")[2]))
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
    """Sizes come from the store's own list: a store that does not check signed sizes may have accepted anything."""
    upload = begun(api, 10)
    stored = smuggled(api, upload, b"x" * 11)
    problem_of(completed(api, upload), 413, "upload_too_large")
    problem_of(completed(api, upload), 404, "not_found")
    assert not stored(), "and nothing of it is kept"
    problem_of(api.client.post("/v1/uploads/presigned", json={"bytes": 257 * MEBIBYTE}), 413, "upload_too_large")
    problem_of(api.client.post("/v1/uploads/presigned", json={"bytes": 0}), 422, "invalid_request")


def test_the_store_takes_no_other_size_than_the_announced_one(api: Api) -> None:
    upload = begun(api, 10)
    for content in (b"x" * 11, b"x" * 9, b"x" * MEBIBYTE, b""):
        assert httpx.put(upload["parts"][0]["url"], content=content, timeout=60).status_code == 403
    in_chunks = iter([b"x" * 5, b"x" * 6])  # without a Content-Length
    assert httpx.put(upload["parts"][0]["url"], content=in_chunks, timeout=60).status_code >= 400
    problem_of(completed(api, upload), 400, "upload_incomplete")
    put(upload["parts"][0], b"x" * 10)
    assert completed(api, upload).json()["complete"] is True


def test_a_key_has_a_limit_of_its_own_at_the_begin_and_at_the_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "REMEMBERED_SECONDS", 0.0)

    def headers(limit: int | None) -> dict[str, str]:
        limits = OwnLimits(max_upload_bytes=limit)
        return {"X-API-Key": keys.create(api.database, NewKey("test", "acme", ALL_SCOPES, limits=limits))[1]}

    def begin(size: int, key: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{api.client.base_url}/v1/uploads/presigned", json={"bytes": size}, headers=key)

    def complete(key: dict[str, str]) -> httpx.Response:
        return httpx.post(f"{api.client.base_url}/v1/uploads/{upload['id']}/complete", headers=key)

    small, large = headers(1000), headers(None)
    problem_of(begin(1001, small), 413, "upload_too_large")
    assert begin(1000, small).status_code == 201
    upload = begin(1001, large).json()
    put(upload["parts"][0], b"x" * 1001)
    assert "1000" in problem_of(complete(small), 413, "upload_too_large")["detail"]
    assert complete(large).json()["complete"] is True, "a key that may have it completes it"


def smuggled(api: Api, upload: dict[str, Any], content: bytes) -> Callable[[], bool]:
    """Put other bytes into the upload than the address takes; tells whether the store still has them."""
    bucket, _, prefix = api.settings.storage_url.removeprefix("s3://").partition("/")
    secret = api.settings.s3_secret_access_key
    client = s3_client(
        endpoint_url=api.settings.s3_endpoint_url,
        region=api.settings.s3_region,
        access_key_id=api.settings.s3_access_key_id,
        secret_access_key=secret.get_secret_value() if secret is not None else None,
        addressing_style="path",
        checksums="when_required",
    )
    key = audio_keys.upload(uuid.UUID(upload["id"].partition("_")[2]))
    where = {"Bucket": bucket, "Key": f"{prefix}/{key}" if prefix else key}
    multipart_id = one(api.database, "SELECT multipart_id FROM uploads")
    client.upload_part(**where, UploadId=multipart_id, PartNumber=1, Body=content)

    def stored() -> bool:
        uploads = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        return multipart_id in {item["UploadId"] for item in uploads}

    assert stored()
    return stored


def test_urls_name_the_endpoint_that_clients_reach(
    postgres: Postgres, valkey: Valkey, s3_server: S3, tmp_path: Any
) -> None:
    public = s3_server.endpoint_url.replace("127.0.0.1", "localhost")
    assert public != s3_server.endpoint_url
    more = bucket_settings(s3_server) | {"s3_public_endpoint_url": public}
    with shared_api(postgres, valkey, tmp_path, **more) as api:
        upload = begun(api, 10)
        assert upload["parts"][0]["url"].startswith(public + "/")
        put(upload["parts"][0], b"x" * 10)
        assert completed(api, upload).json()["complete"] is True


def test_a_directory_has_no_addresses(postgres: Postgres, valkey: Valkey, tmp_path: Any) -> None:
    with shared_api(postgres, valkey, tmp_path) as api:
        problem_of(api.client.post("/v1/uploads/presigned", json={"bytes": 10}), 422, "invalid_request")
