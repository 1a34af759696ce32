"""Every setting of the service, read once from the environment in an entry point and passed down.

The variables carry the prefix `PARAQUEUE_`; `docs/configuration.md` is generated from this class.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.errors import ConfigurationError

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE
FERNET_KEY_BYTES = 32
TOKEN_SECRET_BYTES = 32
METRICS_TOKEN_LENGTH = 16
API_KEY_PREFIX = "pq_live_"
API_KEY = re.compile(API_KEY_PREFIX + r"[A-Za-z0-9_-]{43,200}")
# Standard Webhooks 1.0
SIGNING_SECRET_BYTES = range(24, 65)

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=0)]


class Settings(BaseSettings):
    """One frozen value; a wrong variable is reported by name at start."""

    model_config = SettingsConfigDict(env_prefix="PARAQUEUE_", frozen=True, extra="ignore")

    # Servers
    database_url: SecretStr = Field(
        SecretStr("postgresql://paraqueue@127.0.0.1:5432/paraqueue"),
        description="PostgreSQL URL; PostgreSQL holds all state.",
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis or Valkey URL; carries Celery messages and rate-limit counters.",
    )
    database_pool_size: Count = Field(10, description="Maximum database connections per process.")

    # Storage
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

    # Links
    source_s3_endpoint_url: str | None = Field(None, description="Endpoint for `s3://` links. Unset: AWS.")
    source_s3_region: str = Field("us-east-1", description="Signing region for `s3://` links.")
    source_s3_access_key_id: str | None = Field(
        None,
        description="Access key id for `s3://` links; separate from the storage key. Unset: boto3's default "
        "credential chain.",
    )
    source_s3_secret_access_key: SecretStr | None = Field(None, description="Secret key for `s3://` links.")
    oss_endpoint_url: str | None = Field(
        None, description="Alibaba Cloud OSS endpoint for `oss://` links, e.g. `https://oss-cn-hangzhou.aliyuncs.com`."
    )
    oss_region: str = Field("oss-cn-hangzhou", description="Signing region for OSS.")
    oss_access_key_id: str | None = Field(None, description="Access key id for OSS.")
    oss_access_key_secret: SecretStr | None = Field(None, description="Secret key for OSS.")
    oss_addressing_style: Literal["path", "virtual"] = Field(
        "virtual", description="OSS accepts only `virtual`; `path` is for OSS-compatible test servers."
    )
    fetch_timeout_seconds: Seconds = Field(3600, description="Time limit for downloading one link.")
    fetch_stall_seconds: Seconds = Field(
        30, description="Time limit without receiving any data while downloading a link."
    )
    fetch_max_redirects: int = Field(3, ge=0, description="Maximum redirects to follow.")
    fetch_resumes: int = Field(5, ge=0, description="Maximum times that an interrupted download is resumed.")
    fetch_allowed_private: str = Field(
        "",
        description="Private hosts and networks that http links and webhooks may reach, comma-separated, e.g. "
        "`media.corp.example,10.20.0.0/16`. `host:port` allows one port only; otherwise all ports are "
        "allowed. All other private addresses are refused.",
    )
    fetch_ports: str = Field(
        "80,443",
        description="Ports that http links and webhooks may use, comma-separated; ranges such as `8000-8999` are "
        "allowed.",
    )

    # Limits
    max_upload_bytes: Count = Field(4 * GIBIBYTE, description="Maximum size of an audio file, uploaded or linked.")
    upload_idle_seconds: Seconds = Field(
        30,
        description="Uploads that receive no data for this long are disconnected; the bytes received so far are kept.",
    )
    upload_retention_hours: Seconds = Field(
        24, description="Resumable uploads that are not continued or used within this time are deleted."
    )
    max_audio_hours: Seconds = Field(24, description="Maximum audio duration.")

    # API
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the API listens on.")
    openai_wait_seconds: Seconds = Field(
        600,
        description="How long an OpenAI-compatible call waits for its job, or a streaming call for the next text, "
        "before it returns `still_running`.",
    )
    openai_priority: int = Field(9, ge=0, le=9, description="Priority of jobs created by OpenAI-compatible calls.")
    request_head_seconds: Seconds = Field(10, description="Time limit for receiving request headers.")
    request_idle_seconds: Seconds = Field(
        30, description="Time limit without progress while receiving a request body or sending a response."
    )
    public_url: str | None = Field(
        None, description="Public base URL of the API, used in links. Unset: derived from each request."
    )
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Addresses and networks of trusted proxies, comma-separated, e.g. `10.0.0.0/8`. Their "
        "`X-Forwarded-For` and `X-Forwarded-Proto` headers are honoured, and failed authentication "
        "counts against the client address they report.",
    )

    # Authentication
    auth: Literal["on", "off"] = Field(
        "on",
        description="`off` gives every caller all scopes of the tenant `default`; allowed only while the API "
        "listens on a loopback address.",
    )
    auth_failures_per_minute: Limit = Field(
        60,
        description="Failed authentication attempts allowed per minute and client address (IPv6: per /64 "
        "network); attempts with the same credential prefix are limited to a third of that. Further "
        "attempts receive 429. 0: unlimited.",
    )
    admin_key: SecretStr | None = Field(
        None,
        description="An API key with all scopes for the tenant `default`, valid while it is set: `pq_live_` "
        "followed by at least 43 random letters, digits, `-` or `_`. Use it to create other keys.",
    )

    jwt_secret: SecretStr | None = Field(
        None, description="Accept JSON Web Tokens signed with this secret (HS256), at least 32 bytes."
    )
    jwt_jwks_url: str | None = Field(
        None,
        description="Accept JSON Web Tokens (RS256, ES256) signed by a key of this JWKS: an `https://` URL, or "
        "http on a loopback address.",
    )
    jwt_issuer: str | None = Field(None, description="Required `iss` claim of tokens.")
    jwt_audience: str | None = Field(
        None, description="Required `aud` claim of tokens; must equal or contain this value."
    )
    jwt_tenant_claim: str = Field("tenant", description="Claim that contains the tenant.")
    jwt_tenant: str | None = Field(
        None, description="Tenant of tokens without that claim. Unset: such tokens are refused."
    )
    jwt_scopes_claim: str = Field(
        "scope", description="Claim that contains the scopes, as a list or a space-separated string."
    )
    jwt_scope_prefix: str = Field("", description="Prefix of scope names in that claim, e.g. `paraqueue:`.")
    session_hours: Seconds = Field(12, description="Lifetime of a browser session.")
    cors_origins: str = Field(
        "", description="Origins whose web pages may call the API, comma-separated, e.g. `https://app.corp.example`."
    )

    # Default limits of an API key (0: unlimited)
    key_requests_per_minute: Limit = Field(6000, description="Requests per minute; further requests receive 429.")
    key_max_running: Limit = Field(0, description="Jobs running at the same time; further jobs wait in the queue.")
    key_max_queued: Limit = Field(10_000, description="Queued jobs; further submissions receive 429.")
    key_audio_minutes_per_day: Limit = Field(0, description="Minutes of audio per day (UTC).")
    key_audio_minutes_per_month: Limit = Field(0, description="Minutes of audio per month (UTC).")

    # Webhooks
    secret_key: SecretStr | None = Field(
        None,
        description="Encrypts webhook endpoint secrets and browser sessions: one or more Fernet keys, "
        "comma-separated. The first key encrypts; the others only decrypt. Unset: webhook endpoints "
        "and console sign-in are unavailable.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Signs webhooks sent to a job's own `webhook_url`: one or more `whsec_` secrets, "
        "comma-separated; all of them sign. Unset: `webhook_url` is refused.",
    )
    webhook_timeout_seconds: Seconds = Field(15, description="Time limit for one webhook delivery attempt.")
    webhook_retry_base_seconds: Seconds = Field(
        5,
        description="Delay before the second delivery attempt. Each further delay is four times longer, up to a "
        "ninth of the total retry time.",
    )
    webhook_retry_hours: Seconds = Field(
        72, description="Total time after which a failing webhook delivery is abandoned (approximate)."
    )

    # Models
    model: str = Field(
        "paraformer-large-zh", description="Model bundle to run; `demo-zh` is included in the repository."
    )
    model_source: str = Field(
        "modelscope,huggingface",
        description="Hubs to download a bundle from that is not on disk (`modelscope`, `huggingface`), "
        "comma-separated; if one fails the next one is tried. `local`: never download.",
    )
    model_repositories: str = Field(
        "",
        description="Repositories to use instead of those in the bundle's definition, on the first hub: "
        "`asr=ORG/NAME@REVISION,vad=…,punc=…`.",
    )
    modelscope_url: str = Field(
        "https://www.modelscope.cn", description="Address of ModelScope or of a compatible mirror."
    )
    huggingface_url: str = Field(
        "https://huggingface.co", description="Address of Hugging Face or of a compatible mirror."
    )
    huggingface_token: SecretStr | None = Field(None, description="Token for private repositories on Hugging Face.")
    models_dir: Path = Field(Path("models"), description="Directory of model bundles, one folder per bundle.")

    # Worker
    device: str = Field(
        "auto", description="`cpu`, `cuda:0`, or `auto`: the first GPU if there is one, otherwise the CPU."
    )
    precision: Literal["fp32", "int8", "bf16", "fp16"] = Field(
        "fp32", description="Numeric precision of recognition: `int8` for CPUs, `bf16` and `fp16` for GPUs."
    )
    worker_slots: Count = Field(4, description="Jobs that one worker process runs concurrently.")
    torch_threads: int = Field(0, ge=0, description="CPU threads per operation. 0: one per core.")
    batch_seconds: Seconds | None = Field(
        None, description="Batch budget in seconds of padded audio. Unset: measured at startup."
    )
    max_segment_seconds: Seconds = Field(30, description="Maximum length of a speech segment; longer ones are split.")
    part_seconds: Seconds = Field(300, description="Approximate amount of audio per committed part.")
    scratch_dir: Path = Field(
        Path(".paraqueue/scratch"), description="Directory for audio files while they are processed."
    )
    decode_cpu_seconds: Count = Field(3600, description="CPU time limit for decoding one file.")
    decode_memory_bytes: Count = Field(2 * GIBIBYTE, description="Address space limit of the decoding process.")

    # Leases, retries and retention
    lease_seconds: Seconds = Field(
        30, description="Lease duration: a job is requeued if its worker does not renew the lease for this long."
    )
    renew_seconds: Seconds = Field(1, description="Interval at which a worker renews its leases.")
    sweep_seconds: Seconds = Field(
        10, description="Interval of the sweep, which recovers expired leases and lost messages."
    )
    max_attempts: Count = Field(5, description="Attempts per run before a retryable error becomes final.")
    max_outage_attempts: Count = Field(
        100,
        description="The same limit for errors of the service's own storage or database. With delays of at most "
        "15 minutes, 100 attempts cover most of a day.",
    )
    redispatch_seconds: Seconds = Field(
        15, description="A queued job whose message was not picked up is announced again after this time."
    )
    retry_base_seconds: Seconds = Field(
        5, description="Delay before the second attempt; doubles with each further attempt."
    )
    retry_max_seconds: Seconds = Field(900, description="Maximum delay between two attempts.")
    audio_retention_hours: Seconds = Field(24, description="Audio is deleted this long after its job ended.")
    result_retention_days: Seconds = Field(
        30, description="Jobs and transcripts are deleted this long after the job ended."
    )

    # Metrics, traces and logs
    metrics_host: str = Field("127.0.0.1", description="Address on which workers serve `/metrics`.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port on which a worker or light worker serves `/metrics`; 0: disabled. Processes on one "
        "machine need different ports. The API serves `/metrics` on its own port.",
    )
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token required to read `/metrics` (at least 16 characters), from any address."
    )
    metrics_networks: str = Field(
        "127.0.0.0/8,::1/128",
        description="Networks that may read `/metrics` while no token is set, comma-separated. Requests through a "
        "proxy are refused.",
    )
    otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector (OTLP over HTTP) that receives traces, e.g. `http://127.0.0.1:4318`. "
        "Unset: `OTEL_EXPORTER_OTLP_ENDPOINT`; if that is unset too, tracing is off.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")
    log_format: Literal["json", "text"] = Field("json", description="`text` is meant for reading at a terminal.")

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: SecretStr) -> SecretStr:
        scheme = value.get_secret_value().partition("://")[0]
        if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ValueError("must start with postgresql://")
        return value

    @field_validator("model_source")
    @classmethod
    def _known_hubs(cls, value: str) -> str:
        hubs = [item.strip() for item in value.split(",")]
        if hubs != ["local"] and not (set(hubs) <= {"modelscope", "huggingface"} and len(set(hubs)) == len(hubs)):
            raise ValueError("is not `local`, or a list of `modelscope` and `huggingface`")
        return ",".join(hubs)

    @field_validator("fetch_allowed_private")
    @classmethod
    def _known_networks(cls, value: str) -> str:
        for item in value.split(","):
            if "/" in item:
                ipaddress.ip_network(item.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _known_proxies(cls, value: str) -> str:
        for item in value.split(","):
            if item.strip():
                ipaddress.ip_network(item.strip())
        return value

    @field_validator("fetch_ports")
    @classmethod
    def _known_ports(cls, value: str) -> str:
        if not all(0 < item.start < item.stop <= 65536 for item in _ranges(value)):
            raise ValueError("a port is a number from 1 to 65535")
        return value

    @field_validator("secret_key")
    @classmethod
    def _fernet_keys(cls, value: SecretStr | None) -> SecretStr | None:
        for key in _listed(value):
            if len(_decoded(key.replace("-", "+").replace("_", "/"))) != FERNET_KEY_BYTES:
                raise ValueError("is not a list of keys of 32 bytes in base64; `openssl rand -base64 32` makes one")
        return value

    @field_validator("admin_key")
    @classmethod
    def _api_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None  # as compose passes a variable that is not set
        if API_KEY.fullmatch(value.get_secret_value()) is None:
            raise ValueError(f"is not {API_KEY_PREFIX} and at least 43 letters, digits, - or _")
        return value

    @field_validator("metrics_token")
    @classmethod
    def _long_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None  # as compose passes a variable that is not set
        if len(value.get_secret_value()) < METRICS_TOKEN_LENGTH:
            raise ValueError(f"is shorter than {METRICS_TOKEN_LENGTH} characters")
        return value

    @field_validator("metrics_networks")
    @classmethod
    def _real_networks(cls, value: str) -> str:
        for item in value.split(","):
            if item.strip():
                ipaddress.ip_network(item.strip())
        return value

    @model_validator(mode="after")
    def _whole_tokens(self) -> Settings:
        if (self.jwt_secret or self.jwt_jwks_url) and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("tokens need PARAQUEUE_JWT_ISSUER and PARAQUEUE_JWT_AUDIENCE")
        if self.jwt_secret is not None and len(self.jwt_secret.get_secret_value().encode()) < TOKEN_SECRET_BYTES:
            raise ValueError(f"PARAQUEUE_JWT_SECRET has less than {TOKEN_SECRET_BYTES} bytes")
        url = urlsplit(self.jwt_jwks_url or "https://unset")
        if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(url.hostname or "")):
            raise ValueError("PARAQUEUE_JWT_JWKS_URL must begin with https://, or lead to a loopback address")
        return self

    @model_validator(mode="after")
    def _open_on_loopback_only(self) -> Settings:
        if self.auth == "off" and not _is_loopback(self.host):
            raise ValueError("PARAQUEUE_AUTH=off is for PARAQUEUE_HOST=127.0.0.1 only: anybody could call this address")
        return self

    @field_validator("webhook_secret")
    @classmethod
    def _signing_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        for secret in _listed(value):
            prefix, _, encoded = secret.partition("_")
            if prefix != "whsec" or len(_decoded(encoded)) not in SIGNING_SECRET_BYTES:
                raise ValueError("is not a list of secrets of the form whsec_ and 24 to 64 bytes in base64")
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
    def model_hubs(self) -> list[str]:
        """The hubs that a bundle may be downloaded from, in order; none: it is never downloaded."""
        return [] if self.model_source == "local" else self.model_source.split(",")

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL with psycopg 3 as the driver."""
        return self.postgres_url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def allowed_private(self) -> tuple[str, ...]:
        """The hosts and networks of `fetch_allowed_private`."""
        return tuple(item.strip().lower() for item in self.fetch_allowed_private.split(",") if item.strip())

    @property
    def ports(self) -> tuple[range, ...]:
        """The ports of `fetch_ports`."""
        return _ranges(self.fetch_ports)

    @property
    def proxies(self) -> tuple[str, ...]:
        """The addresses and networks of `trusted_proxies`."""
        return tuple(item.strip() for item in self.trusted_proxies.split(",") if item.strip())

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys of `secret_key`, in the alphabet that Fernet takes."""
        return tuple(key.replace("+", "-").replace("/", "_") for key in _listed(self.secret_key))

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of `webhook_secret`."""
        return _listed(self.webhook_secret)

    @property
    def origins(self) -> tuple[str, ...]:
        """The origins of `cors_origins`."""
        return tuple(item.strip().rstrip("/") for item in self.cors_origins.split(",") if item.strip())

    @property
    def metrics_readers(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of `metrics_networks`."""
        return tuple(ipaddress.ip_network(item.strip()) for item in self.metrics_networks.split(",") if item.strip())

    @property
    def max_audio_ms(self) -> int:
        """The duration limit in milliseconds."""
        return int(self.max_audio_hours * 3_600_000)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listed(value: SecretStr | None) -> tuple[str, ...]:
    text = value.get_secret_value() if value is not None else ""
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _ranges(text: str) -> tuple[range, ...]:
    """Ports and ranges of them, both ends included. ValueError for what is neither."""
    pairs = [item.partition("-") for item in text.split(",")]
    return tuple(range(int(first), int(last if dash else first) + 1) for first, dash, last in pairs)


def _decoded(text: str) -> bytes:
    """The bytes behind base64; none where it is not base64. The text itself must not get into an error."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


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
