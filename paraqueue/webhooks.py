"""Receiving webhooks: they are signed after Standard Webhooks 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from paraqueue.errors import ParaqueueError


class UnverifiedWebhook(ParaqueueError):
    """Not signed with this secret, or too old: do not act on it."""


class Event(BaseModel):
    """What a webhook tells: `type`, for example `transcription.completed`, and `data` with the id and status."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str
    timestamp: str
    data: dict[str, Any]

    @property
    def transcription_id(self) -> str | None:
        """The transcription it is about."""
        found = self.data.get("id")
        return str(found) if found else None


def verify_webhook(body: bytes | str, headers: Mapping[str, str], secret: str) -> Event:
    """The event in a request that you received. Raises UnverifiedWebhook.

    `body` is the request's body as it came, `secret` the `whsec_…` of the endpoint. Keep the `webhook-id` header:
    an event may come more than once, always under the same id.

    >>> verify_webhook(b"{}", {"webhook-id": "1"}, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    Traceback (most recent call last):
    ...
    paraqueue.webhooks.UnverifiedWebhook: Missing required headers
    """
    plain = {name.lower(): value for name, value in headers.items()}
    try:
        told = Webhook(secret).verify(body, plain)
    except WebhookVerificationError as error:
        raise UnverifiedWebhook(str(error)) from None
    return Event.model_validate(told)
