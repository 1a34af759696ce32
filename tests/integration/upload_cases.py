"""Uploads as clients make them. For the tests of uploads."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import httpx
from pydantic import SecretStr

from common.storage import s3_client
from tests.integration.api_cases import Api
from tests.servers import S3

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
