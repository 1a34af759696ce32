"""Operations on webhook endpoints and their deliveries (see `paraqueue.exchange`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from paraqueue.exchange import Operation, Send, given, request

if TYPE_CHECKING:
    import httpx

    from paraqueue.models import Delivery, DeliveryPage, Webhook

WEBHOOKS = "/v1/webhooks"


def webhooks() -> Operation[tuple[Webhook, ...]]:
    """All endpoints, newest first."""
    from paraqueue.models import Webhook

    answer = yield from request(Send("GET", WEBHOOKS))
    return tuple(Webhook.model_validate(item) for item in answer.json()["data"])


def create_webhook(
    url: str, *, events: Sequence[str] | None = None, description: str | None = None
) -> Operation[Webhook]:
    """Register an endpoint. Its `secret` is shown only this once. For keys with the scope `admin`."""
    body = {"url": url, **given(events=list(events) if events is not None else None, description=description)}
    return _webhook_in((yield from request(Send("POST", WEBHOOKS, json=body), safe=False)))


def update_webhook(
    id: str,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    enabled: bool | None = None,
    description: str | None = None,
) -> Operation[Webhook]:
    """Change an endpoint; None leaves a value as it is. For keys with the scope `admin`."""
    named = list(events) if events is not None else None
    body = given(url=url, events=named, enabled=enabled, description=description)
    return _webhook_in((yield from request(Send("PATCH", f"{WEBHOOKS}/{id}", json=body))))


def rotate_webhook_secret(id: str, *, overlap_hours: float = 24) -> Operation[Webhook]:
    """Replace an endpoint's secret; until the overlap ends, deliveries are signed with both. Needs `admin`."""
    send = Send("POST", f"{WEBHOOKS}/{id}/rotate", json={"overlap_hours": overlap_hours})
    return _webhook_in((yield from request(send, safe=False)))


def delete_webhook(id: str) -> Operation[None]:
    """Delete an endpoint with its deliveries. For keys with the scope `admin`."""
    yield from request(Send("DELETE", f"{WEBHOOKS}/{id}"), safe=False)


def test_webhook(id: str) -> Operation[Delivery]:
    """Send a `webhook.test` event to an endpoint. For keys with the scope `admin`."""
    return _delivery_in((yield from request(Send("POST", f"{WEBHOOKS}/{id}/test"), safe=False)))


def deliveries(
    webhook_id: str | None = None,
    *,
    transcription_id: str | None = None,
    status: str | None = None,
    after: str | None = None,
    limit: int = 20,
) -> Operation[DeliveryPage]:
    """A page of deliveries, newest first: to one endpoint, or all, also of one transcription.

    Raises ValueError with both `webhook_id` and `transcription_id`.
    """
    from paraqueue.models import DeliveryPage

    if webhook_id and transcription_id:
        raise ValueError("pass either `webhook_id` or `transcription_id`")
    path = f"{WEBHOOKS}/{webhook_id}/deliveries" if webhook_id else f"{WEBHOOKS}/deliveries"
    params = given(transcription_id=transcription_id, status=status, after=after, limit=limit)
    answer = yield from request(Send("GET", path, params))
    return DeliveryPage.model_validate_json(answer.content)


def replay_delivery(id: str) -> Operation[Delivery]:
    """Send a delivery again with the same `webhook-id`. For keys with the scope `admin`."""
    return _delivery_in((yield from request(Send("POST", f"{WEBHOOKS}/deliveries/{id}/replay"), safe=False)))


def _webhook_in(answer: httpx.Response) -> Webhook:
    from paraqueue.models import Webhook

    return Webhook.model_validate_json(answer.content)


def _delivery_in(answer: httpx.Response) -> Delivery:
    from paraqueue.models import Delivery

    return Delivery.model_validate_json(answer.content)
