"""Opens objects of S3-compatible stores for `download`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from urllib3.exceptions import HTTPError

from common.errors import SourceDenied, SourceNotAllowed, SourceNotFound, SourceUnreachable
from worker.transcription.fetching.download import Broken, Changed, SourceResponse

CHUNK_BYTES = 256 * 1024
GONE_CODES = {"NoSuchKey", "NoSuchBucket", "404", "NotFound"}
REFUSED_CODES = {"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch"}


class ObjectSource:
    """An object in an S3-compatible store. Use `open` with `download`."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client = client
        self._where = {"Bucket": bucket, "Key": key}

    def open(self, offset: int, version: str | None) -> _ObjectAnswer:
        """Request the bytes from `offset` on, provided that the version has not changed."""
        more = {"Range": f"bytes={offset}-", "IfMatch": version} if offset and version else {}
        try:
            return _ObjectAnswer(self._client.get_object(**self._where, **more), offset)
        except ClientError as error:
            raise _object_error(error) from error
        except ParamValidationError as error:
            raise SourceNotAllowed("the link has no bucket and object key") from error
        except BotoCoreError as error:
            raise Broken(f"the object store does not respond ({type(error).__name__})") from error


class _ObjectAnswer:
    """A get_object result as a `SourceResponse`, closed at the end."""

    def __init__(self, result: dict[str, Any], offset: int) -> None:
        self._result = result
        self._offset = offset

    def __enter__(self) -> SourceResponse:
        total = self._offset + int(self._result["ContentLength"])
        return SourceResponse(
            self._offset,
            total,
            self._result.get("ETag"),
            self._chunks(),
            encoding=self._result.get("ContentEncoding"),
            disposition=self._result.get("ContentDisposition"),
        )

    def __exit__(self, *_: object) -> None:
        self._result["Body"].close()

    def _chunks(self) -> Iterator[bytes]:
        try:
            yield from self._result["Body"].iter_chunks(CHUNK_BYTES)
        except (BotoCoreError, HTTPError) as error:
            raise Broken(f"the connection was lost ({type(error).__name__})") from error


def _object_error(error: ClientError) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", "unknown"))
    if code in GONE_CODES:
        return SourceNotFound(f"the object store answers {code}")
    if code in REFUSED_CODES:
        return SourceDenied(f"the object store answers {code}")
    if code in {"PreconditionFailed", "412"}:
        return Changed("the object changed while it was downloaded")
    return SourceUnreachable(f"the object store answers {code}")
