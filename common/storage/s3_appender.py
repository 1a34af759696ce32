"""An object in a bucket that grows over many requests, possibly in several processes.

Objects cannot be appended to, and the parts of a multipart upload must be at least 5 MiB. So parts are sent when they
are full, and the bytes left at the end of a request are kept until the next one as a separate object, the tail. No part
number or tail name is used twice, so a process that lost the upload without noticing overwrites nothing.
"""

from __future__ import annotations

import uuid
from contextlib import suppress
from dataclasses import replace
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from common import audio_keys
from common.storage import failures
from common.storage.parts import SentPart
from common.storage.protocol import PartialObject, Reserve


class S3Appender:
    """See `Appender`. Holds one part in memory."""

    def __init__(
        self, client: Any, bucket: str, key: str, grown: PartialObject, reserve: Reserve, part_bytes: int
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._grown = grown
        self._reserve = reserve
        self._part_bytes = part_bytes
        self._buffer = bytearray()
        if grown.tail is not None:
            with failures.of_s3():
                tail = client.get_object(Bucket=bucket, Key=audio_keys.beside(key, grown.tail))
                self._buffer += tail["Body"].read()

    def write(self, data: bytes) -> None:
        """Append; sends each part once it is full."""
        self._buffer += data
        while len(self._buffer) >= self._part_bytes:
            self._send(bytes(self._buffer[: self._part_bytes]))
            del self._buffer[: self._part_bytes]

    def keep(self, *, last: bool) -> PartialObject:
        """Send the remaining bytes: as the last part, as the whole object if there was no part, else as the tail."""
        whole = sum(part.size for part in self._grown.parts) + len(self._buffer)
        if whole == self._grown.size and not (last and self._buffer):
            return self._grown
        if not last:
            self._keep_tail(whole)
        elif self._grown.upload_id is not None:
            self._send(bytes(self._buffer))
            self._buffer.clear()
        else:
            with failures.of_s3():
                self._client.put_object(Bucket=self._bucket, Key=self._key, Body=bytes(self._buffer))
            self._grown = replace(self._grown, size=whole, tail=None)
        return self._grown

    def _keep_tail(self, whole: int) -> None:
        name = f"tail-{uuid.uuid4().hex}"
        with failures.of_s3():
            key = audio_keys.beside(self._key, name)
            self._client.put_object(Bucket=self._bucket, Key=key, Body=bytes(self._buffer))
        self._grown = replace(self._grown, size=whole, tail=name)

    def safe(self) -> PartialObject:
        """Return the state up to the last whole part: a tail is not worth its cost in the middle of a request."""
        return self._grown

    def close(self) -> None:
        """Discard what was not sent."""
        self._buffer.clear()

    def _send(self, body: bytes) -> None:
        number = self._reserve()
        where = {"Bucket": self._bucket, "Key": self._key}
        with failures.of_s3():
            upload_id = self._grown.upload_id or self._client.create_multipart_upload(**where)["UploadId"]
            self._grown = replace(self._grown, upload_id=upload_id)
            answer = self._client.upload_part(**where, UploadId=upload_id, PartNumber=number, Body=body)
        parts = (*self._grown.parts, SentPart(number, len(body), str(answer["ETag"])))
        self._grown = PartialObject(sum(part.size for part in parts), upload_id, parts)


def abort_multipart(client: Any, bucket: str, key: str, upload_id: str) -> None:
    """Abort a multipart upload, unless it is already complete or gone."""
    with suppress(BotoCoreError, ClientError):
        client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
