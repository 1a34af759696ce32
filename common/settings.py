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
    source_s3_endpoint_url: str | None = Field(None, description="Endpoint for `s3://` links; unset means AWS.")
    source_s3_region: str = Field("us-east-1", description="Region that requests for `s3://` links are signed for.")
    source_s3_access_key_id: str | None = Field(
        None, description="Key for `s3://` links; unset: boto3's own credential chain. Not the storage's."
    )
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
        "and webhooks may lead to although their addresses are private, at any port or, with `host:port`, at that one; "
        "all other private addresses are refused.",
    )
    fetch_ports: str = Field(
        "80,443",
        description="Ports (comma-separated, also ranges, e.g. `8000-8999`) that http links and webhooks may lead to.",
    )

    # Limits
    max_upload_bytes: Count = Field(4 * GIBIBYTE, description="Largest audio file, uploaded or linked.")
    upload_idle_seconds: Seconds = Field(
        30, description="An upload in which nothing arrives for so long is broken off; what came of it is kept."
    )
    upload_retention_hours: Seconds = Field(
        24, description="A resumable upload that is not continued, or not used, is deleted after this time."
    )
    max_audio_hours: Seconds = Field(24, description="Longest audio that is transcribed.")

    # The API
    host: str = Field("127.0.0.1", description="Address the API listens on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the API listens on.")
    openai_wait_seconds: Seconds = Field(
        600,
        description="So long the OpenAI-compatible call waits, a streamed one for its next piece of text; then it "
        "says that the job goes on.",
    )
    openai_priority: int = Field(9, ge=0, le=9, description="Priority of what comes by that call.")
    request_head_seconds: Seconds = Field(10, description="Longest time in which the head of a request must be here.")
    request_idle_seconds: Seconds = Field(
        30, description="Longest pause in a request's body, and longest time for which a client may take no answer."
    )
    public_url: str | None = Field(None, description="Where clients see the API; unset: as they called it.")
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Addresses and networks (comma-separated, e.g. `10.0.0.0/8`) of proxies whose `X-Forwarded-For` "
        "and `X-Forwarded-Proto` are believed; wrong keys are counted for the client that they name.",
    )

    # Who may call
    auth: Literal["on", "off"] = Field(
        "on",
        description="`off` lets everybody do everything, as the tenant `default`; only where the API listens on "
        "a loopback address.",
    )
    auth_failures_per_minute: Limit = Field(
        60,
        description="Wrong keys, tokens and sessions that one address (of IPv6 one /64 network) may send within a "
        "minute, and a third of that with the same beginning; more are answered with 429. 0: any number.",
    )
    admin_key: SecretStr | None = Field(
        None,
        description="An API key that works as long as it stands here, with all scopes for the tenant `default`: "
        "`pq_live_` and 43 or more random letters, digits, `-` or `_`. More keys are made with it.",
    )

    jwt_secret: SecretStr | None = Field(
        None, description="Takes JSON Web Tokens signed with this secret (HS256): 32 or more bytes."
    )
    jwt_jwks_url: str | None = Field(
        None,
        description="Takes JSON Web Tokens (RS256, ES256) signed with a key of this key set: `https://…`, or http on "
        "a loopback address.",
    )
    jwt_issuer: str | None = Field(None, description="What `iss` of a token must be.")
    jwt_audience: str | None = Field(None, description="What `aud` of a token must be, or hold.")
    jwt_tenant_claim: str = Field("tenant", description="The claim that names the tenant.")
    jwt_tenant: str | None = Field(None, description="The tenant of tokens that lack this claim; unset: refused.")
    jwt_scopes_claim: str = Field("scope", description="The claim with the scopes: a list, or one text with spaces.")
    jwt_scope_prefix: str = Field("", description="What stands before the scopes there, e.g. `paraqueue:`.")
    session_hours: Seconds = Field(12, description="A browser's session ends after this time.")
    cors_origins: str = Field(
        "", description="Web pages (comma-separated origins, e.g. `https://app.corp.example`) that may call the API."
    )

    # What one key may use, unless the key has a limit of its own; 0: no limit
    key_requests_per_minute: Limit = Field(6000, description="Calls within a minute; more are answered with 429.")
    key_max_running: Limit = Field(0, description="Jobs that run at the same time; more wait in the queue.")
    key_max_queued: Limit = Field(10_000, description="Jobs that wait; more are answered with 429.")
    key_audio_minutes_per_day: Limit = Field(0, description="Minutes of audio within a day (UTC).")
    key_audio_minutes_per_month: Limit = Field(0, description="Minutes of audio within a month (UTC).")

    # Webhooks
    secret_key: SecretStr | None = Field(
        None,
        description="Encrypts the secrets of webhook endpoints: one or more Fernet keys, comma-separated; the first "
        "one encrypts, the others still open what they encrypted. Unset: no endpoints can be made.",
    )
    webhook_secret: SecretStr | None = Field(
        None,
        description="Signs the webhooks to a job's own `webhook_url`: one or more `whsec_` secrets, comma-separated, "
        "which all sign. Unset: `webhook_url` is refused.",
    )
    webhook_timeout_seconds: Seconds = Field(15, description="Longest time that sending one webhook may take.")
    webhook_retry_base_seconds: Seconds = Field(
        5, description="Pause before a webhook's second try; each one is four times longer, up to a ninth of the end."
    )
    webhook_retry_hours: Seconds = Field(72, description="A webhook that failed for about so long is given up.")

    # Models
    model: str = Field("paraformer-large-zh", description="The bundle that runs; `demo-zh` is in the repository.")
    model_source: Literal["modelscope", "huggingface", "local"] = Field(
        "modelscope", description="Where a bundle that is not on disk is downloaded from; `local`: never."
    )
    model_repositories: str = Field(
        "",
        description="Other repositories of the hub than the pinned ones, e.g. a mirror of your own: "
        "`asr=ORG/NAME@REVISION,vad=…,punc=…`.",
    )
    models_dir: Path = Field(Path("models"), description="Directory of model bundles, one folder each.")

    # The worker
    device: str = Field("auto", description="`cpu`, `cuda:0`, or `auto`: the first GPU, else the CPU.")
    precision: Literal["fp32", "int8", "bf16", "fp16"] = Field(
        "fp32", description="Arithmetic of recognition: `int8` is for the CPU, `bf16` and `fp16` are for GPUs."
    )
    worker_slots: Count = Field(4, description="Jobs that one worker process runs at the same time.")
    torch_threads: int = Field(0, ge=0, description="Threads of one operation on the CPU; 0: one per core.")
    batch_seconds: Seconds | None = Field(
        None, description="Budget of one batch, in seconds of audio with padding. Unset: measured at start."
    )
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
    max_outage_attempts: Count = Field(
        100,
        description="The same where our own storage or database is away or full, which no job can help; with pauses "
        "of 15 minutes at most, 100 attempts wait for most of a day.",
    )
    redispatch_seconds: Seconds = Field(
        15, description="A queued job whose message nobody took is announced again after this time."
    )
    retry_base_seconds: Seconds = Field(5, description="Pause before the second attempt; doubles each time.")
    retry_max_seconds: Seconds = Field(900, description="Longest pause between two attempts.")
    audio_retention_hours: Seconds = Field(24, description="Audio is deleted so long after its job ended.")
    result_retention_days: Seconds = Field(30, description="Transcripts are deleted so long after the end.")

    # Telling
    metrics_host: str = Field("127.0.0.1", description="Address that the workers' metrics are served on.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port on which a worker, or a light worker, serves `/metrics`; 0: none. Each process on a machine "
        "needs one of its own. The API serves them on its own port.",
    )
    metrics_token: SecretStr | None = Field(
        None, description="Who reads `/metrics` must show this bearer token (16 characters or more), wherever from."
    )
    metrics_networks: str = Field(
        "127.0.0.0/8,::1/128",
        description="Networks (comma-separated) from which `/metrics` may be read while there is no token; not through "
        "a proxy.",
    )
    otlp_endpoint: str | None = Field(
        None,
        description="Where traces go: an OpenTelemetry collector that takes OTLP over HTTP, e.g. "
        "`http://127.0.0.1:4318`. Unset: `OTEL_EXPORTER_OTLP_ENDPOINT`; where that is unset too, there are no traces.",
    )
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
