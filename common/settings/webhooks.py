"""Webhooks and the encryption of their secrets."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from common.settings.types import FERNET_KEY_BYTES, SIGNING_SECRET_BYTES, Seconds, SettingsGroup, decoded, listed


class WebhookSettings(SettingsGroup):
    """Webhooks"""

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

    @field_validator("webhook_secret")
    @classmethod
    def _signing_secrets(cls, value: SecretStr | None) -> SecretStr | None:
        for secret in listed(value):
            prefix, _, encoded = secret.partition("_")
            if prefix != "whsec" or len(decoded(encoded)) not in SIGNING_SECRET_BYTES:
                raise ValueError("must be secrets of the form whsec_ and 24 to 64 bytes in base64, comma-separated")
        return value

    @property
    def webhook_secrets(self) -> tuple[str, ...]:
        """The secrets of `webhook_secret`."""
        return listed(self.webhook_secret)


class SecretSettings(SettingsGroup):
    """Encryption"""

    secret_key: SecretStr | None = Field(
        None,
        description="Encrypts webhook endpoint secrets and browser sessions: one or more Fernet keys, "
        "comma-separated. The first key encrypts; the others only decrypt. Unset: webhook endpoints "
        "and console sign-in are unavailable.",
    )

    @field_validator("secret_key")
    @classmethod
    def _fernet_keys(cls, value: SecretStr | None) -> SecretStr | None:
        for key in listed(value):
            if len(decoded(key.replace("-", "+").replace("_", "/"))) != FERNET_KEY_BYTES:
                raise ValueError("must be 32-byte keys in base64, comma-separated: `openssl rand -base64 32`")
        return value

    @property
    def secret_keys(self) -> tuple[str, ...]:
        """The keys of `secret_key`, in the alphabet that Fernet takes."""
        return tuple(key.replace("+", "-").replace("/", "_") for key in listed(self.secret_key))
