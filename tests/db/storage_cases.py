"""What the tests of storages share."""

from __future__ import annotations

import hashlib
from typing import Any

from common.storage import Storage, Stored, s3_client
from tests.servers import S3

MEBIBYTE = 1024 * 1024


def client_of(s3: S3) -> Any:
    return s3_client(
        endpoint_url=s3.endpoint_url,
        region=s3.region,
        access_key_id=s3.access_key_id,
        secret_access_key=s3.secret_access_key,
        addressing_style="path",
        checksums="when_supported",
    )


def put(storage: Storage, key: str, *pieces: bytes) -> Stored:
    writer = storage.writer(key)
    for piece in pieces:
        writer.write(piece)
    return writer.commit()


def keys(storage: Storage, prefix: str = "") -> list[str]:
    return sorted(key for key, _ in storage.keys(prefix))


def stored(content: bytes) -> Stored:
    return Stored(len(content), hashlib.sha256(content).hexdigest())
