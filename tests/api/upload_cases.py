"""Uploads as clients make them. For the tests of uploads."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from common import keys
from common.storage import make_storage, s3_client
from dev.postgres import Postgres
from dev.valkey import Valkey
from tests.api.api_cases import Api, shared_api
from tests.db.job_cases import emptied
from tests.servers import ADMIN_KEY, S3


@contextmanager
def api_with_storage(
    request: pytest.FixtureRequest, postgres: Postgres, valkey: Valkey, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API whose storage a test looks into too; `request.param` is `local` or `s3`."""
    place = tmp_path_factory.mktemp("api")
    more = bucket_settings(request.getfixturevalue("s3_server")) if request.param == "s3" else {}
    with shared_api(postgres, valkey, place, scratch_dir=place / "scratch", **more) as api:
        yield replace(api, storage=make_storage(api.settings))


def without_audio(api: Api) -> Api:
    """The same, with no rows and no audio."""
    emptied(api.database)
    keys.ensure_admin_key(api.database, ADMIN_KEY)
    api.storage.delete_all("audio/")
    return api


TUS = {"Tus-Resumable": "1.0.0"}
PATCH = {**TUS, "Content-Type": "application/offset+octet-stream"}


def begun(api: Api, length: int, name: str | None = None) -> str:
    """The address of a new upload."""
    headers = {**TUS, "Upload-Length": str(length)}
    if name is not None:
        headers["Upload-Metadata"] = f"filename {base64.b64encode(name.encode()).decode()}"
    answer = api.client.post("/v1/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def patched(api: Api, url: str, content: bytes, offset: int, **headers: str) -> httpx.Response:
    return api.client.patch(url, content=content, headers={**PATCH, "Upload-Offset": str(offset), **headers})


def standing(api: Api, url: str) -> int:
    """How many bytes the service says are safe."""
    answer = api.client.head(url, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def bucket_settings(store: S3) -> dict[str, Any]:
    """A new bucket, as settings."""
    bucket = f"uploads-{secrets.token_hex(6)}"
    client = s3_client(
        endpoint_url=store.endpoint_url,
        region=store.region,
        access_key_id=store.access_key_id,
        secret_access_key=store.secret_access_key,
        addressing_style="path",
        checksums="when_supported",
    )
    client.create_bucket(Bucket=bucket)
    return {
        "storage_url": f"s3://{bucket}/some/prefix",
        "s3_endpoint_url": store.endpoint_url,
        "s3_access_key_id": store.access_key_id,
        "s3_secret_access_key": SecretStr(store.secret_access_key),
    }
