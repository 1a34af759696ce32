"""Metrics, traces and logs."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from common.settings.types import METRICS_TOKEN_LENGTH, Networks, SettingsGroup


class MetricsSettings(SettingsGroup):
    """Metrics"""

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
    metrics_networks: Networks = Field(
        (ip_network("127.0.0.0/8"), ip_network("::1/128")),
        description="Networks that may read `/metrics` while no token is set, comma-separated. Requests through a "
        "proxy are refused.",
    )

    @field_validator("metrics_token")
    @classmethod
    def _long_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None  # as compose passes a variable that is not set
        if len(value.get_secret_value()) < METRICS_TOKEN_LENGTH:
            raise ValueError(f"must have at least {METRICS_TOKEN_LENGTH} characters")
        return value


class LogSettings(SettingsGroup):
    """Logs and traces"""

    otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry collector (OTLP over HTTP) that receives traces, e.g. `http://127.0.0.1:4318`. "
        "Unset: `OTEL_EXPORTER_OTLP_ENDPOINT`; if that is unset too, tracing is off.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Minimum log level.")
    log_format: Literal["json", "text"] = Field("json", description="`text` is meant for reading at a terminal.")
