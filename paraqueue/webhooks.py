"""Verifies received webhooks, which are signed according to Standard Webhooks 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from paraqueue.errors import ParaqueueError


class UnverifiedWebhook(ParaqueueError):
    """The webhook is not signed with this secret or is too old: do not act on it."""


class Event(BaseModel):
    """What a webhook tells: `type`, for example `transcription.completed`, and `data` with the id and status."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    timestamp: str
    data: dict[str, Any]

    @property
    def transcription_id(self) -> str | None:
        """The transcription it is about."""
        value = self.data.get("id")
        return str(value) if value else None


def verify_webhook(body: bytes | str, headers: Mapping[str, str], secret: str) -> Event:
    """Verify a received request and return its event. Raises UnverifiedWebhook.

    `body` is the unmodified request body, `secret` the `whsec_…` of the endpoint. Keep the `webhook-id` header: an
    event may be delivered more than once, always with the same id.

    >>> verify_webhook(b"{}", {"webhook-id": "1"}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    Traceback (most recent call last):
    ...
    paraqueue.webhooks.UnverifiedWebhook: Missing required headers
    """
    plain = {name.lower(): value for name, value in headers.items()}
    try:
        payload = Webhook(secret).verify(body, plain)
    except WebhookVerificationError as error:
        raise UnverifiedWebhook(str(error)) from None
    return Event.model_validate(payload)
