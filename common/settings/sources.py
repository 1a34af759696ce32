"""Settings of links that clients submit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, SecretStr

from common.settings.types import HostList, Limit, Names, PortRanges, Seconds, SettingsGroup


@dataclass(frozen=True, slots=True)
class ObjectStoreSettings:
    """Access to an object store for clients' links, and the permitted buckets; disabled without a key."""

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
    source_s3_region: str = Field("us-east-1", description="Signing region.")
    source_s3_access_key_id: str | None = Field(
        None,
        description="Access key id, separate from the storage's. Unset: no `s3://` links.",
    )
    source_s3_secret_access_key: SecretStr | None = Field(None, description="Secret key.")
    source_s3_buckets: Names = Field(
        (),
        description="Buckets that `s3://` links may read; `*` stands for any characters. The storage bucket is always "
        "refused.",
    )
    oss_endpoint_url: str | None = Field(
        None, description="Alibaba Cloud OSS endpoint for `oss://` links, e.g. `https://oss-cn-hangzhou.aliyuncs.com`."
    )
    oss_region: str = Field("oss-cn-hangzhou", description="Signing region.")
    oss_access_key_id: str | None = Field(None, description="Access key id. Unset: no `oss://` links.")
    oss_access_key_secret: SecretStr | None = Field(None, description="Secret key.")
    oss_buckets: Names = Field(
        (),
        description="Buckets that `oss://` links may read, as `PARAQUEUE_SOURCE_S3_BUCKETS`.",
    )
    oss_addressing_style: Literal["path", "virtual"] = Field(
        "virtual", description="`path`: for OSS-compatible test servers; OSS accepts only `virtual`."
    )
    fetch_timeout_seconds: Seconds = Field(3600, description="Time limit for downloading a link.")
    fetch_stall_seconds: Seconds = Field(30, description="Time limit without receiving data.")
    fetch_min_bytes_per_second: Limit = Field(
        16 * 1024,
        description="Lowest average rate of a download; a slower one ends with `source_rate_too_low` and is tried "
        "again later. 0: any rate.",
    )
    fetch_min_rate_seconds: Seconds = Field(60, description="Time over which that average is taken.")
    fetch_resumes: int = Field(5, ge=0, description="Maximum times that an interrupted download is resumed.")
    fetch_allowed_private: HostList = Field(
        (),
        description="Private hosts and networks that http links and webhooks may reach, e.g. "
        "`media.corp.example,10.20.0.0/16`; all others are refused. `host:port` allows only that port.",
    )
    fetch_ports: PortRanges = Field(
        (range(80, 81), range(443, 444)),
        description="Ports that http links and webhooks may use; ranges such as `8000-8999` are allowed.",
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
