"""Settings of webhooks and of the encryption of their secrets."""

from __future__ import annotations

from pydantic import Field, SecretStr, field_validator

from common.settings.types import (
    FERNET_KEY_BYTES,
    SIGNING_SECRET_BYTES,
    Seconds,
    Secrets,
    SettingsGroup,
    decoded,
    revealed,
)


class WebhookSettings(SettingsGroup):
    """Webhooks"""

    webhook_secret: Secrets = Field(
        (),
        description="`whsec_` secrets, all of which sign webhooks to a job's own `webhook_url`. Unset: `webhook_url` "
        "is refused.",
    )
    webhook_timeout_seconds: Seconds = Field(15, description="Time limit of a delivery attempt.")
    webhook_retry_base_seconds: Seconds = Field(
        5,
        description="Delay before the second attempt. Each further delay is four times longer, up to a ninth of the "
        "total.",
    )
    webhook_retry_hours: Seconds = Field(
        72, description="Approximate total time after which a failing delivery is abandoned."
    )

    @field_validator("webhook_secret")
    @classmethod
    def _signing_secrets(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for secret in revealed(value):
            prefix, _, encoded = secret.partition("_")
            if prefix != "whsec" or len(decoded(encoded)) not in SIGNING_SECRET_BYTES:
                raise ValueError("must be secrets of the form whsec_ and 24 to 64 bytes in base64, comma-separated")
        return value


class SecretSettings(SettingsGroup):
    """Encryption"""

    secret_key: Secrets = Field(
        (),
        description="Fernet keys for webhook endpoint secrets and browser sessions: the first encrypts, the others "
        "only decrypt. Unset: no webhook endpoints and no console sign-in.",
    )

    @field_validator("secret_key")
    @classmethod
    def _fernet_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        """Return the keys in the base64 alphabet that Fernet accepts."""
        keys = revealed(value)
        if any(len(decoded(key.replace("-", "+").replace("_", "/"))) != FERNET_KEY_BYTES for key in keys):
            raise ValueError("must be 32-byte keys in base64, comma-separated: `openssl rand -base64 32`")
        return tuple(SecretStr(key.replace("+", "-").replace("/", "_")) for key in keys)
