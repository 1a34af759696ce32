"""Settings of the servers that the service depends on."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from common.settings.types import Count, Seconds, SettingsGroup


class DatabaseSettings(SettingsGroup):
    """Servers"""

    database_url: SecretStr = Field(
        SecretStr("postgresql://paraqueue@127.0.0.1:5432/paraqueue"),
        description="PostgreSQL, which holds all state.",
    )
    database_pool_size: Count = Field(10, description="Maximum database connections per process.")

    @field_validator("database_url")
    @classmethod
    def _postgres_only(cls, value: SecretStr) -> SecretStr:
        scheme = value.get_secret_value().partition("://")[0]
        if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ValueError("must start with postgresql://")
        return value

    @property
    def postgres_url(self) -> str:
        """The database URL in the form that libpq accepts."""
        _, _, rest = self.database_url.get_secret_value().partition("://")
        return f"postgresql://{rest}"

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL with psycopg 3 as the driver."""
        return self.postgres_url.replace("postgresql://", "postgresql+psycopg://", 1)


class BrokerSettings(SettingsGroup):
    """Servers"""

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis or Valkey, for Celery messages and rate limits.",
    )
    sweep_seconds: Seconds = Field(
        10, description="Interval of the sweep, which recovers expired leases and lost messages."
    )
