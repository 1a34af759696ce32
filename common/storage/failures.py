"""What goes wrong in a storage, as our errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from common.errors import SourceNotFound, StorageFull, StorageUnavailable

MISSING = {"NoSuchKey", "NoSuchUpload", "404", "NotFound"}
FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"}


@contextmanager
def of_directories() -> Iterator[None]:
    """The operating system's errors as ours."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise StorageFull("the storage is full") from error
        raise StorageUnavailable(f"the storage directory failed: {error.strerror}") from error


@contextmanager
def of_s3() -> Iterator[None]:
    """boto3's errors as ours; the message names the store's code, never a credential."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        if code in MISSING:
            raise SourceNotFound("the audio is no longer in the storage") from error
        if code in FULL:
            raise StorageFull("the object store is full") from error
        raise StorageUnavailable(f"the object store refused the request ({code})") from error
    except (BotoCoreError, Boto3Error) as error:
        raise StorageUnavailable(f"the object store does not respond ({type(error).__name__})") from error
