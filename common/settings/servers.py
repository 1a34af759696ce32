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
    database_direct_url: SecretStr | None = Field(
        None,
        description="The same database without a pooler, if `PARAQUEUE_DATABASE_URL` leads to PgBouncer in transaction "
        "mode; used by migrations and for one `LISTEN` connection per API process.",
    )
    database_pool_size: Count = Field(10, description="Maximum database connections per process.")

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _postgres_only(cls, value: SecretStr | None) -> SecretStr | None:
        scheme = value.get_secret_value().partition("://")[0] if value is not None else "postgresql"
        if scheme not in {"postgresql", "postgres", "postgresql+psycopg"}:
            raise ValueError("must start with postgresql://")
        return value

    @property
    def postgres_url(self) -> str:
        """The database URL in the form that libpq accepts."""
        return _libpq_url(self.database_url)

    @property
    def direct_url(self) -> str:
        """The URL for what needs a session of its own, in the same form."""
        return _libpq_url(self.database_direct_url or self.database_url)

    @property
    def sqlalchemy_url(self) -> str:
        """The database URL with psycopg 3 as the driver."""
        return self.postgres_url.replace("postgresql://", "postgresql+psycopg://", 1)


def _libpq_url(url: SecretStr) -> str:
    _, _, rest = url.get_secret_value().partition("://")
    return f"postgresql://{rest}"


class BrokerSettings(SettingsGroup):
    """Servers"""

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"),
        description="Redis or Valkey, for Celery messages and rate limits.",
    )
    sweep_seconds: Seconds = Field(
        10, description="Interval of the sweep, which recovers expired leases and lost messages."
    )
