"""All settings combined, read once from the environment in an entry point and passed down."""

from __future__ import annotations

from typing import Self

from pydantic import ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.errors import ConfigurationError
from common.settings.api import ApiSettings, LimitSettings
from common.settings.auth import AuthSettings, ShareSettings, TenantLimitSettings
from common.settings.lifecycle import DispatchSettings, LeaseSettings, RetentionSettings, RetrySettings
from common.settings.servers import BrokerSettings, DatabaseSettings
from common.settings.sources import SourceSettings
from common.settings.storage import ScratchSettings, StorageSettings
from common.settings.summaries import SummarySettings
from common.settings.telemetry import LogSettings, MetricsSettings
from common.settings.types import is_loopback
from common.settings.webhooks import SecretSettings, WebhookSettings
from common.settings.worker import ModelSettings, WorkerSettings


class Settings(
    DatabaseSettings,
    BrokerSettings,
    StorageSettings,
    ScratchSettings,
    SourceSettings,
    ApiSettings,
    LimitSettings,
    AuthSettings,
    ShareSettings,
    TenantLimitSettings,
    WebhookSettings,
    SecretSettings,
    SummarySettings,
    ModelSettings,
    WorkerSettings,
    LeaseSettings,
    DispatchSettings,
    RetrySettings,
    RetentionSettings,
    MetricsSettings,
    LogSettings,
    BaseSettings,
):
    """One frozen value; an invalid variable is reported by name at start."""

    model_config = SettingsConfigDict(env_prefix="PARAQUEUE_", frozen=True, extra="ignore")

    @model_validator(mode="after")
    def _open_on_loopback_only(self) -> Self:
        if self.auth == "off" and not is_loopback(self.host):
            raise ValueError("PARAQUEUE_AUTH=off requires a loopback PARAQUEUE_HOST: anybody could call this address")
        return self


def load_settings() -> Settings:
    """Read the environment. Raises ConfigurationError, which names each invalid variable in one line."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"PARAQUEUE_{str(item['loc'][0]).upper()}: {item['msg']}" if item["loc"] else item["msg"]
            for item in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(wrong) from None
