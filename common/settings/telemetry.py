"""Settings of metrics, traces and logs."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from common.settings.types import METRICS_TOKEN_LENGTH, Networks, SettingsGroup


class MetricsSettings(SettingsGroup):
    """Metrics, logs and traces"""

    metrics_host: str = Field("127.0.0.1", description="Address on which workers serve `/metrics`.")
    metrics_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="Port of a worker's or light worker's `/metrics`; 0: disabled. Processes on one machine need "
        "different ports; the API uses its own.",
    )
    metrics_token: SecretStr | None = Field(
        None, description="Bearer token for `/metrics`, at least 16 characters, valid from any address."
    )
    metrics_networks: Networks = Field(
        (ip_network("127.0.0.0/8"), ip_network("::1/128")),
        description="Networks that may read `/metrics` while no token is set, but not through a proxy.",
    )

    @field_validator("metrics_token")
    @classmethod
    def _long_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None  # Compose passes unset variables as empty strings
        if len(value.get_secret_value()) < METRICS_TOKEN_LENGTH:
            raise ValueError(f"must have at least {METRICS_TOKEN_LENGTH} characters")
        return value


class LogSettings(SettingsGroup):
    """Metrics, logs and traces"""

    otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector (OTLP over HTTP) for traces, e.g. `http://127.0.0.1:4318`. Unset: "
        "`OTEL_EXPORTER_OTLP_ENDPOINT`; without either, no tracing.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")
    log_format: Literal["json", "text"] = Field("json", description="`text`: for terminals.")
