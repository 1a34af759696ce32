"""Settings of audio storage."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from common.settings.types import SettingsGroup


class StorageSettings(SettingsGroup):
    """Storage"""

    storage_url: str = Field(
        "file:.paraqueue/storage",
        description="`file:DIRECTORY`, or `s3://bucket/prefix` in any S3-compatible store.",
    )
    s3_endpoint_url: str | None = Field(None, description="Endpoint of the S3 store. Unset: AWS.")
    s3_public_endpoint_url: str | None = Field(
        None,
        description="Endpoint in the URLs of direct uploads, if clients reach the store by another name.",
    )
    s3_region: str = Field("us-east-1", description="Signing region.")
    s3_access_key_id: str | None = Field(None, description="Access key id. Unset: boto3's default credential chain.")
    s3_secret_access_key: SecretStr | None = Field(None, description="Secret key.")
    s3_addressing_style: Literal["auto", "path", "virtual"] = Field(
        "path", description="Bucket name in the path or (`virtual`) in the host name."
    )
    s3_checksums: Literal["when_supported", "when_required"] = Field(
        "when_supported", description="`when_required`: for stores without CRC trailers."
    )

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, value: str) -> str:
        if not value.startswith(("file:", "s3://")):
            raise ValueError("must start with file: or s3://")
        return value


class ScratchSettings(SettingsGroup):
    """Storage"""

    scratch_dir: Path = Field(
        Path(".paraqueue/scratch"), description="Directory for audio files while they are processed."
    )
