"""The settings of the service, from variables with the prefix `PARAQUEUE_`; each file contains the groups of one area.

`Settings` combines all groups. A class or function that needs only one group takes that group as its parameter.
`docs/configuration.md` is generated from this package.
"""

from common.settings.api import ApiSettings, LimitSettings
from common.settings.auth import (
    DAY_SECONDS,
    SHORTEST_SHARE_DAYS,
    AuthSettings,
    ShareSettings,
    TenantLimitSettings,
)
from common.settings.lifecycle import DispatchSettings, LeaseSettings, RetentionSettings, RetrySettings
from common.settings.servers import BrokerSettings, DatabaseSettings
from common.settings.settings import Settings, load_settings
from common.settings.sources import ObjectStoreSettings, SourceSettings
from common.settings.storage import ScratchSettings, StorageSettings
from common.settings.summaries import SummarySettings
from common.settings.telemetry import LogSettings, MetricsSettings
from common.settings.types import API_KEY_PREFIX, GIBIBYTE, MEBIBYTE
from common.settings.unknown import UnknownSetting, unknown_settings
from common.settings.webhooks import SecretSettings, WebhookSettings
from common.settings.worker import ModelSettings, WorkerSettings

__all__ = [
    "API_KEY_PREFIX",
    "DAY_SECONDS",
    "GIBIBYTE",
    "MEBIBYTE",
    "SHORTEST_SHARE_DAYS",
    "ApiSettings",
    "AuthSettings",
    "BrokerSettings",
    "DatabaseSettings",
    "DispatchSettings",
    "LeaseSettings",
    "LimitSettings",
    "LogSettings",
    "MetricsSettings",
    "ModelSettings",
    "ObjectStoreSettings",
    "RetentionSettings",
    "RetrySettings",
    "ScratchSettings",
    "SecretSettings",
    "Settings",
    "ShareSettings",
    "SourceSettings",
    "StorageSettings",
    "SummarySettings",
    "TenantLimitSettings",
    "UnknownSetting",
    "WebhookSettings",
    "WorkerSettings",
    "load_settings",
    "unknown_settings",
]
