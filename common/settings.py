"""Every setting of the service, read once from the environment in an entry point and passed down.

The variables carry the prefix `PARAQUEUE_`; `docs/configuration.md` is generated from this class.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.errors import ConfigurationError

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """One frozen value; a wrong variable is reported by name at start."""

    model_config = SettingsConfigDict(env_prefix="PARAQUEUE_", frozen=True, extra="ignore")

    # The servers we stand on
    database_url: SecretStr = Field(
        SecretStr("postgresql://paraqueue@127.0.0.1:5432/paraqueue"), description="PostgreSQL, the truth."
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="Redis or Valkey, which carries Celery's messages."
    )
    database_pool_size: Count = Field(10, description="Connections each process holds at most.")

    # Where audio is kept
    storage_url: str = Field(
        "file:.paraqueue/storage",
        description="`file:DIRECTORY`, or `s3://bucket/prefix` for any S3-compatible store.",
    )
    s3_endpoint_url: str | None = Field(None, description="Endpoint of the S3 store; unset means AWS.")
    s3_region: str = Field("us-east-1", description="Region that requests to the S3 store are signed for.")
    s3_access_key_id: str | None = Field(None, description="Unset: boto3's own credential chain.")
    s3_secret_access_key: SecretStr | None = Field(None, description="Belongs to the access key id.")
    s3_addressing_style: Literal["auto", "path", "virtual"] = Field(
        "path", description="How the bucket stands in the URL of the S3 store."
    )
    s3_checksums: Literal["when_supported", "when_required"] = Field(
        "when_supported", description="`when_required` for stores that know no CRC trailers."
    )

    # Links
    source_s3_endpoint_url: str | None = Field(
        None, description="Endpoint for `s3://` links; unset: that of the storage."
    )
    source_s3_region: str | None = Field(None, description="Region for `s3://` links; unset: that of the storage.")
    source_s3_access_key_id: str | None = Field(None, description="Unset: the storage's key.")
    source_s3_secret_access_key: SecretStr | None = Field(None, description="Belongs to that access key id.")
    oss_endpoint_url: str | None = Field(
        None, description="Alibaba OSS, for `oss://` links, e.g. `https://oss-cn-hangzhou.aliyuncs.com`."
    )
    oss_region: str = Field("oss-cn-hangzhou", description="Region that requests to OSS are signed for.")
    oss_access_key_id: str | None = Field(None, description="Access key id for OSS.")
    oss_access_key_secret: SecretStr | None = Field(None, description="Belongs to the OSS access key id.")
    oss_addressing_style: Literal["path", "virtual"] = Field(
        "virtual", description="OSS itself takes `virtual` only; `path` is for stand-ins."
    )
    fetch_timeout_seconds: Seconds = Field(3600, description="Longest time that fetching one link may take.")
    fetch_stall_seconds: Seconds = Field(30, description="Longest silence of the other side while fetching.")
    fetch_max_redirects: int = Field(3, ge=0, description="Redirects that are followed.")
    fetch_resumes: int = Field(5, ge=0, description="How often a broken download is continued.")
    fetch_allowed_private: str = Field(
        "",
        description="Hosts and networks (comma-separated, e.g. `media.corp.example,10.20.0.0/16`) that http links "
        "may lead to although their addresses are private; all other private addresses are refused.",
    )

    # Limits
    max_upload_bytes: Count = Field(4 * GIBIBYTE, description="Largest audio file, uploaded or linked.")
    max_audio_hours: Seconds = Field(24, description="Longest audio that is transcribed.")

    # The API
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the API listens on.")
    public_url: str | None = Field(None, description="Where clients see the API; unset: as they called it.")

    # Models
    model: str = Field("paraformer-large-zh", description="The bundle that runs; `demo-zh` is in the repository.")
    model_source: Literal["modelscope", "huggingface", "local"] = Field(
        "modelscope", description="Where a bundle that is not on disk is downloaded from; `local`: never."
    )
    models_dir: Path = Field(Path("models"), description="Directory of model bundles, one folder each.")

    # The worker
    device: str = Field("auto", description="`cpu`, `cuda:0`, or `auto`: the first GPU, else the CPU.")
    precision: Literal["fp32"] = Field("fp32", description="Arithmetic of the networks.")
    worker_slots: Count = Field(4, description="Jobs that one worker process runs at the same time.")
    torch_threads: int = Field(0, ge=0, description="Threads of one operation on the CPU; 0: one per core.")
    batch_seconds: Seconds = Field(120, description="Budget of one batch, in seconds of audio with padding.")
    max_segment_seconds: Seconds = Field(30, description="Longest segment that is recognised in one piece.")
    part_seconds: Seconds = Field(300, description="About how much audio is committed at a time.")
    scratch_dir: Path = Field(Path(".paraqueue/scratch"), description="Where audio lies while it is worked on.")
    decode_cpu_seconds: Count = Field(3600, description="CPU time that decoding one file may take.")
    decode_memory_bytes: Count = Field(2 * GIBIBYTE, description="Address space of the decoding process.")

    # Never losing a job
    lease_seconds: Seconds = Field(30, description="A job whose worker is silent for so long is taken back.")
    renew_seconds: Seconds = Field(1, description="How often a worker renews all its leases.")
    sweep_seconds: Seconds = Field(10, description="How often the sweep looks for what was left behind.")
    max_attempts: Count = Field(5, description="Attempts of one run before a transient error becomes final.")
    max_losses: Count = Field(
        10, description="Lost workers in a row, without a part in between, before a job is given up."
    )
    redispatch_seconds: Seconds = Field(
        15, description="A queued job whose message nobody took is announced again after this time."
    )
    retry_base_seconds: Seconds = Field(5, description="Pause before the second attempt; doubles each time.")
    retry_max_seconds: Seconds = Field(900, description="Longest pause between two attempts.")
    audio_retention_hours: Seconds = Field(24, description="Audio is deleted so long after its job ended.")
    result_retention_days: Seconds = Field(30, description="Transcripts are deleted so long after the end.")

    # Telling
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level logged.")
    log_format: Literal["json", "text"] = Field("json", description="`text` is for people at a terminal.")

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: SecretStr) -> SecretStr:
        scheme = value.get_secret_value().partition("://")[0]
        if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("fetch_allowed_private")
    @classmethod
    def _known_networks(cls, value: str) -> str:
        for item in value.split(","):
            if "/" in item:
                ipaddress.ip_network(item.strip())
        return value

    @field_validator("storage_url")
    @classmethod
    def _known_storage(cls, value: str) -> str:
        if not value.startswith(("file:", "s3://")):
            raise ValueError("must start with file: or s3://")
        return value

    @property
    def postgres_url(self) -> str:
        """The database URL as PostgreSQL's own library takes it."""
        _, _, rest = self.database_url.get_secret_value().partition("://")
        return f"postgresql://{rest}"

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL with psycopg 3 as the driver."""
        return self.postgres_url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def allowed_private(self) -> tuple[str, ...]:
        """The hosts and networks of `fetch_allowed_private`."""
        return tuple(item.strip().lower() for item in self.fetch_allowed_private.split(",") if item.strip())

    @property
    def max_audio_ms(self) -> int:
        """The duration limit in milliseconds."""
        return int(self.max_audio_hours * 3_600_000)


def load_settings() -> Settings:
    """Read the environment; ConfigurationError names each wrong variable in one line."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"PARAQUEUE_{str(item['loc'][0]).upper()}: {item['msg']}" if item["loc"] else item["msg"]
            for item in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(wrong) from None
