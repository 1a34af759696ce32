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
        description="Where audio is stored: `file:DIRECTORY`, or `s3://bucket/prefix` for any S3-compatible store.",
    )
    s3_endpoint_url: str | None = Field(None, description="Endpoint of the S3 store. Unset: AWS.")
    s3_region: str = Field("us-east-1", description="Signing region of the S3 store.")
    s3_access_key_id: str | None = Field(
        None, description="Access key id of the S3 store. Unset: boto3's default credential chain."
    )
    s3_secret_access_key: SecretStr | None = Field(None, description="Secret key of the S3 store.")
    s3_addressing_style: Literal["auto", "path", "virtual"] = Field(
        "path", description="Bucket addressing of the S3 store: in the path or in the host name."
    )
    s3_checksums: Literal["when_supported", "when_required"] = Field(
        "when_supported", description="Set `when_required` for stores that do not support CRC trailers."
    )

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, value: str) -> str:
        if not value.startswith(("file:", "s3://")):
            raise ValueError("must start with file: or s3://")
        return value


class ScratchSettings(SettingsGroup):
    """Temporary files"""

    scratch_dir: Path = Field(
        Path(".paraqueue/scratch"), description="Directory for audio files while they are processed."
    )
