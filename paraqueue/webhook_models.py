"""Webhook endpoints and their deliveries, as the service shows them."""

from __future__ import annotations

from datetime import datetime

from paraqueue.values import Value


class Webhook(Value):
    """A webhook endpoint; `secret` is shown only after creation and rotation."""

    id: str
    url: str
    description: str = ""
    events: tuple[str, ...]
    enabled: bool
    disabled_reason: str | None = None
    previous_secret_until: datetime | None = None
    created_at: datetime
    updated_at: datetime
    secret: str | None = None


class Delivery(Value):
    """One event for one receiver; `id` is also its `webhook-id` header."""

    id: str
    type: str
    webhook_id: str | None = None
    transcription_id: str | None = None
    batch_id: str | None = None
    status: str
    attempts: int = 0
    last_status: int | None = None
    last_error: str | None = None
    created_at: datetime
    delivered_at: datetime | None = None


class DeliveryPage(Value):
    """A page of deliveries, newest first."""

    data: tuple[Delivery, ...]
    next: str | None = None
