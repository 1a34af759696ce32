"""Settings of links that clients submit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, SecretStr

from common.settings.types import HostList, Names, PortRanges, Seconds, SettingsGroup


@dataclass(frozen=True, slots=True)
class ObjectStoreSettings:
    """How to reach an object store that clients link to, and which buckets; without a key, none of them."""

    endpoint_url: str | None
    region: str
    access_key_id: str | None
    secret_access_key: SecretStr | None
    addressing_style: Literal["auto", "path", "virtual"]
    checksums: Literal["when_supported", "when_required"]
    buckets: tuple[str, ...]


class SourceSettings(SettingsGroup):
    """Links"""

    source_s3_endpoint_url: str | None = Field(None, description="Endpoint for `s3://` links. Unset: AWS.")
    source_s3_region: str = Field("us-east-1", description="Signing region for `s3://` links.")
    source_s3_access_key_id: str | None = Field(
        None,
        description="Access key id for `s3://` links; separate from the storage key. Unset: no `s3://` links.",
    )
    source_s3_secret_access_key: SecretStr | None = Field(None, description="Secret key for `s3://` links.")
    source_s3_buckets: Names = Field(
        (),
        description="Buckets that `s3://` links may read, comma-separated; `*` stands for any characters. The storage "
        "bucket is always refused.",
    )
    oss_endpoint_url: str | None = Field(
        None, description="Alibaba Cloud OSS endpoint for `oss://` links, e.g. `https://oss-cn-hangzhou.aliyuncs.com`."
    )
    oss_region: str = Field("oss-cn-hangzhou", description="Signing region for OSS.")
    oss_access_key_id: str | None = Field(None, description="Access key id for OSS. Unset: no `oss://` links.")
    oss_access_key_secret: SecretStr | None = Field(None, description="Secret key for OSS.")
    oss_buckets: Names = Field(
        (),
        description="Buckets that `oss://` links may read, comma-separated; `*` stands for any characters. The storage "
        "bucket is always refused.",
    )
    oss_addressing_style: Literal["path", "virtual"] = Field(
        "virtual", description="OSS accepts only `virtual`; `path` is for OSS-compatible test servers."
    )
    fetch_timeout_seconds: Seconds = Field(3600, description="Time limit for downloading one link.")
    fetch_stall_seconds: Seconds = Field(
        30, description="Time limit without receiving any data while downloading a link."
    )
    fetch_max_redirects: int = Field(3, ge=0, description="Maximum redirects to follow.")
    fetch_resumes: int = Field(5, ge=0, description="Maximum times that an interrupted download is resumed.")
    fetch_allowed_private: HostList = Field(
        (),
        description="Private hosts and networks that http links and webhooks may reach, comma-separated, e.g. "
        "`media.corp.example,10.20.0.0/16`. `host:port` allows one port only; otherwise all ports are "
        "allowed. All other private addresses are refused.",
    )
    fetch_ports: PortRanges = Field(
        (range(80, 81), range(443, 444)),
        description="Ports that http links and webhooks may use, comma-separated; ranges such as `8000-8999` are "
        "allowed.",
    )

    @property
    def s3_source(self) -> ObjectStoreSettings:
        """The settings for accessing the objects of `s3://` links."""
        return ObjectStoreSettings(
            endpoint_url=self.source_s3_endpoint_url,
            region=self.source_s3_region,
            access_key_id=self.source_s3_access_key_id,
            secret_access_key=self.source_s3_secret_access_key,
            addressing_style="path",
            checksums="when_supported",
            buckets=self.source_s3_buckets,
        )

    @property
    def oss_source(self) -> ObjectStoreSettings:
        """The settings for accessing the objects of `oss://` links."""
        return ObjectStoreSettings(
            endpoint_url=self.oss_endpoint_url,
            region=self.oss_region,
            access_key_id=self.oss_access_key_id,
            secret_access_key=self.oss_access_key_secret,
            addressing_style=self.oss_addressing_style,
            checksums="when_required",
            buckets=self.oss_buckets,
        )
