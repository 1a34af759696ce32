"""Storage in a bucket of any S3-compatible store."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from common import audio_keys
from common.errors import SourceNotFound, StorageUnavailable
from common.storage import failures
from common.storage.direct import Direct
from common.storage.protocol import PartialObject, Reserve, Stored
from common.storage.s3_appender import S3Appender, abort_multipart

MEBIBYTE = 1024 * 1024
# At most 10,000 parts: with 16 MiB each they reach 156 GiB.
PART_BYTES = 16 * MEBIBYTE
DOWNLOAD = TransferConfig(max_concurrency=2, multipart_chunksize=8 * MEBIBYTE, max_io_queue=16)
READ_BYTES = 256 * 1024


def s3_client(
    *,
    endpoint_url: str | None,
    region: str,
    access_key_id: str | None,
    secret_access_key: str | None,
    addressing_style: str,
    checksums: str,
) -> Any:
    """Create a boto3 client (thread-safe) with bounded timeouts and retries.

    `checksums` is `when_required` for stores such as Alibaba OSS, which reject the CRC trailers that boto3 adds by
    default.
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
    # A separate session: boto3's default session is not thread-safe while clients are created.
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=access_key_id,
        aws_secret_access_key=secret_access_key,
        config=config,
    )


class S3Storage:
    """See `Storage`. Objects over 16 MiB are multipart uploads, so memory use does not grow with their size.

    `signer` is the client that signs URLs for direct uploads, with the endpoint that other machines reach.
    """

    def __init__(self, client: Any, bucket: str, prefix: str = "", *, signer: Any = None) -> None:
        self._client = client
        self._signer = client if signer is None else signer
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""

    def writer(self, key: str) -> S3Writer:
        """Start writing an object; nothing is sent before the first part is full."""
        return S3Writer(self._client, self._bucket, self._prefix + key)

    def appender(self, key: str, grown: PartialObject, *, reserve: Reserve, part_bytes: int) -> S3Appender:
        """Continue an object: a multipart upload, plus a separate object with the bytes after its last part."""
        return S3Appender(self._client, self._bucket, self._prefix + key, grown, reserve, part_bytes)

    def finish(self, key: str, grown: PartialObject) -> None:
        """Complete the multipart upload; if that was done before, check that it is complete."""
        where = {"Bucket": self._bucket, "Key": self._prefix + key}
        if grown.upload_id is not None:
            parts = [{"PartNumber": part.number, "ETag": part.etag} for part in grown.parts]
            with suppress(SourceNotFound), failures.of_s3():  # another process completed it and then died
                self._client.complete_multipart_upload(
                    **where, UploadId=grown.upload_id, MultipartUpload={"Parts": parts}
                )
        if self.size(key) != grown.size:
            raise StorageUnavailable("the object store lost bytes of an upload")

    def discard(self, key: str, grown: PartialObject) -> None:
        """Abort the multipart upload, and delete the objects stored with it."""
        if grown.upload_id is not None:
            abort_multipart(self._client, self._bucket, self._prefix + key, grown.upload_id)
        self.delete_all(audio_keys.directory(key))

    def direct(self) -> Direct:
        """Return the interface for multipart uploads by clients."""
        return Direct(self._client, self._signer, self._bucket, self._prefix)

    def size(self, key: str) -> int:
        """Return the object's size."""
        with failures.of_s3():
            return int(self._client.head_object(Bucket=self._bucket, Key=self._prefix + key)["ContentLength"])

    def read(self, key: str, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes from `start` up to, not including, `end`."""
        if end <= start:
            return
        with failures.of_s3():
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._prefix + key, Range=f"bytes={start}-{end - 1}"
            )
            with closing(answer["Body"]) as body:
                yield from body.iter_chunks(READ_BYTES)

    def fetch(self, key: str, scratch: Path) -> Path:
        """Download to a file in `scratch`; boto3 retries interrupted ranges."""
        path = scratch / uuid.uuid4().hex
        with failures.of_s3():
            self._client.download_file(self._bucket, self._prefix + key, str(path), Config=DOWNLOAD)
        return path

    def delete(self, key: str) -> None:
        """Delete an object."""
        with failures.of_s3():
            self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)

    def delete_all(self, prefix: str) -> None:
        """Delete every object whose key has this prefix, one by one: not every store supports DeleteObjects."""
        for key, _ in list(self.keys(prefix)):
            self.delete(key)

    def keys(self, prefix: str, *, after: str = "") -> Iterator[tuple[str, datetime]]:
        """Yield the keys with this prefix that sort after `after`."""
        pages = self._client.get_paginator("list_objects_v2")
        start = {"StartAfter": self._prefix + after} if after else {}
        with failures.of_s3():
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **start):
                for item in page.get("Contents", ()):
                    yield item["Key"].removeprefix(self._prefix), item["LastModified"]

    def delete_unfinished(self, before: datetime, keep: Callable[[str], bool]) -> int:
        """Abort the multipart uploads left open by killed processes."""
        deleted = 0
        pages = self._client.get_paginator("list_multipart_uploads")
        with failures.of_s3():
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + audio_keys.ROOT):
                for item in page.get("Uploads", ()):
                    if item["Initiated"] < before and not keep(item["Key"].removeprefix(self._prefix)):
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
        with failures.of_s3():
            body = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"].read()
        self.delete(key)
        if body != b"paraqueue":
            raise StorageUnavailable("the object store does not return what was written")


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
        """Append; sends each part once it is full."""
        self._buffer += data
        self._hash.update(data)
        self._size += len(data)
        while len(self._buffer) >= PART_BYTES:
            self._send_part(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]

    def commit(self) -> Stored:
        """Send the rest and complete the upload."""
        with failures.of_s3():
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
        """Discard what was sent. If the store is unreachable, it keeps the parts until its own clean-up."""
        self._buffer.clear()
        if self._upload_id is not None:
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**self._where, UploadId=self._upload_id)
            self._upload_id = None

    def _send_part(self, body: bytes) -> None:
        with failures.of_s3():
            if self._upload_id is None:
                self._upload_id = self._client.create_multipart_upload(**self._where)["UploadId"]
            number = len(self._parts) + 1
            answer = self._client.upload_part(**self._where, UploadId=self._upload_id, PartNumber=number, Body=body)
            self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})
