"""Storage of audio: a local directory, or any S3-compatible store."""

from typing import Any

from common.settings import StorageSettings
from common.storage.direct import Direct
from common.storage.endpoints import same_bucket
from common.storage.local import LocalStorage
from common.storage.parts import SentPart
from common.storage.protocol import Appender, PartialObject, Reserve, Storage, Stored, Writer
from common.storage.s3 import S3Storage, s3_client

__all__ = [
    "Appender",
    "Direct",
    "LocalStorage",
    "PartialObject",
    "Reserve",
    "S3Storage",
    "SentPart",
    "Storage",
    "Stored",
    "Writer",
    "make_storage",
    "s3_client",
    "same_bucket",
]


def make_storage(settings: StorageSettings) -> Storage:
    """Return the storage chosen in the settings. No connection is made yet; `check()` makes one."""
    if settings.storage_url.startswith("file:"):
        return LocalStorage(settings.storage_url.removeprefix("file:"))
    bucket, _, prefix = settings.storage_url.removeprefix("s3://").partition("/")
    secret = settings.s3_secret_access_key

    def client(endpoint_url: str | None) -> Any:
        return s3_client(
            endpoint_url=endpoint_url,
            region=settings.s3_region,
            access_key_id=settings.s3_access_key_id,
            secret_access_key=secret.get_secret_value() if secret else None,
            addressing_style=settings.s3_addressing_style,
            checksums=settings.s3_checksums,
        )

    own = client(settings.s3_endpoint_url)
    public = settings.s3_public_endpoint_url
    return S3Storage(own, bucket, prefix, signer=client(public) if public else own)
