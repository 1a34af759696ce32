"""Direct uploads from clients to the object store, with URLs that are each signed for one part."""

from __future__ import annotations

from typing import Any

from common.storage import failures
from common.storage.parts import SentPart


class Direct:
    """Multipart uploads by clients. A URL is valid only for its upload: nothing can be changed after completion."""

    def __init__(self, client: Any, signer: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._signer = signer
        self._bucket = bucket
        self._prefix = prefix

    def begin(self, key: str) -> str:
        """Start a multipart upload and return its id. Raises StorageUnavailable."""
        with failures.of_s3():
            return str(self._client.create_multipart_upload(**self._where(key))["UploadId"])

    def part_url(self, key: str, upload_id: str, number: int, size: int, seconds: int) -> str:
        """Return the URL to which a client may PUT one part of `size` bytes, valid for `seconds`.

        `Content-Length` is signed, so the store rejects more or fewer bytes before it stores any.
        """
        with failures.of_s3():
            given = {**self._where(key), "UploadId": upload_id, "PartNumber": number, "ContentLength": size}
            return str(self._signer.generate_presigned_url("upload_part", Params=given, ExpiresIn=seconds))

    def sent(self, key: str, upload_id: str) -> tuple[SentPart, ...]:
        """Return the received parts in order. Raises SourceNotFound, StorageUnavailable."""
        with failures.of_s3():
            pages = self._client.get_paginator("list_parts").paginate(**self._where(key), UploadId=upload_id)
            listed = [part for page in pages for part in page.get("Parts", ())]
        parts = [SentPart(int(part["PartNumber"]), int(part["Size"]), str(part["ETag"])) for part in listed]
        return tuple(sorted(parts, key=lambda part: part.number))

    def _where(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}
