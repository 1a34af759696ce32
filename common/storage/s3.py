"""Objects in a bucket of any S3-compatible store."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import SourceNotFound, StorageFull, StorageUnavailable
from common.storage.protocol import Stored

MEBIBYTE = 1024 * 1024
# 10,000 parts at most: 16 MiB each reach 156 GiB.
PART_BYTES = 16 * MEBIBYTE
DOWNLOAD = TransferConfig(max_concurrency=2, multipart_chunksize=8 * MEBIBYTE, max_io_queue=16)
MISSING = {"NoSuchKey", "404", "NotFound"}
FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"}


def s3_client(
    *,
    endpoint_url: str | None,
    region: str,
    access_key_id: str | None,
    secret_access_key: str | None,
    addressing_style: str,
    checksums: str,
) -> Any:
    """A boto3 client (thread-safe) with bounded time-outs and retries.

    `checksums` is `when_required` for stores such as Alibaba OSS, which reject the CRC trailers that
    boto3 adds by default.
    """
    config = Config(
        s3={"addressing_style": addressing_style},
        signature_version="s3v4",
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        connect_timeout=5,
        read_timeout=30,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=32,
    )
    # A session of its own: boto3's default session is not thread-safe while clients are made.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=config,
    )


class S3Storage:
    """See `Storage`. Objects over 16 MiB are multipart uploads: memory does not grow with them."""

    def __init__(self, client: Any, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def writer(self, key: str) -> S3Writer:
        """Begin an object; nothing is sent before the first part is full."""
        return S3Writer(self._client, self._bucket, self._prefix + key)

    def fetch(self, key: str, scratch: Path) -> Path:
        """Download to a file in `scratch`; boto3 retries the ranges that break."""
        path = scratch / uuid.uuid4().hex
        with _told():
            self._client.download_file(self._bucket, self._prefix + key, str(path), Config=DOWNLOAD)
        return path

    def delete(self, key: str) -> None:
        """Delete an object."""
        with _told():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def delete_all(self, prefix: str) -> None:
        """Delete every object whose key begins so, one by one: not every store knows DeleteObjects."""
        for key, _ in list(self.keys(prefix)):
            self.delete(key)

    def keys(self, prefix: str) -> Iterator[tuple[str, datetime]]:
        """Keys that begin so."""
        pages = self._client.get_paginator("list_objects_v2")
        with _told():
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix):
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix), item["LastModified"]

    def delete_unfinished(self, before: datetime) -> int:
        """Abort the multipart uploads that killed processes left open."""
        deleted = 0
        pages = self._client.get_paginator("list_multipart_uploads")
        with _told():
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + "audio/"):
                for item in page.get("Uploads", ()):
                    if item["Initiated"] < before:
                        where = {"Bucket": self._bucket, "Key": item["Key"], "UploadId": item["UploadId"]}
                        self._client.abort_multipart_upload(**where)
                        deleted += 1
        return deleted

    def check(self) -> None:
        """Write, read and delete a small object."""
        key = f"check/{uuid.uuid4().hex}"
        writer = self.writer(key)
        writer.write(b"paraqueue")
        writer.commit()
        with _told():
            body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
        self.delete(key)
        if body != b"paraqueue":
            raise StorageUnavailable("the object store does not give back what was written")


class S3Writer:
    """See `Writer`. Holds one part in memory."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client = client
        self._where = {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._hash = hashlib.sha256()
        self._size = 0
        self._upload_id: str | None = None
        self._parts: list[dict[str, Any]] = []

    def write(self, data: bytes) -> None:
        """Append; sends a part when one is full."""
        self._buffer += data
        self._hash.update(data)
        self._size += len(data)
        while len(self._buffer) >= PART_BYTES:
            self._send_part(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]

    def commit(self) -> Stored:
        """Send the rest and complete the upload."""
        with _told():
            if self._upload_id is None:
                self._client.put_object(**self._where, Body=bytes(self._buffer))
            else:
                if self._buffer:
                    self._send_part(bytes(self._buffer))
                self._client.complete_multipart_upload(
                    **self._where, UploadId=self._upload_id, MultipartUpload={"Parts": self._parts}
                )
                self._upload_id = None
        self._buffer.clear()
        return Stored(self._size, self._hash.hexdigest())

    def abort(self) -> None:
        """Forget what was sent. A store that is away keeps the parts until its own clean-up."""
        self._buffer.clear()
        if self._upload_id is not None:
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)
            self._upload_id = None

    def _send_part(self, body: bytes) -> None:
        with _told():
            if self._upload_id is None:
                self._upload_id = self._client.create_multipart_upload(**self._where)["UploadId"]
            number = len(self._parts) + 1
            answer = self._client.upload_part(**self._where, UploadId=self._upload_id, PartNumber=number, Body=body)
            self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})


@contextmanager
def _told() -> Iterator[None]:
    """boto3's errors as ours; the message names the store's code, never a credential."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in MISSING:
            raise SourceNotFound("the audio is not in the storage any more") from error
        if code in FULL:
            raise StorageFull("the object store has no room left") from error
        raise StorageUnavailable(f"the object store refused the request ({code})") from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageUnavailable(f"the object store does not answer ({type(error).__name__})") from error
