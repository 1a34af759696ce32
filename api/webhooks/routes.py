"""Webhooks: endpoints, their secrets, and the log of deliveries."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from api.auth.callers import Caller
from api.deps import AdminCaller, ReadCaller, Service, ServiceDep, public_url, v1_router
from api.webhooks.schemas import (
    DeliveryList,
    DeliveryOut,
    Replayed,
    ReplaySince,
    SecretRotate,
    Webhook,
    WebhookCreate,
    WebhookList,
    WebhookUpdate,
    WebhookWithSecret,
    delivery_out,
    webhook_of,
    with_secret,
)
from common import ids, webhooks
from common.errors import WebhooksNotConfigured
from common.keys import Scope
from common.secret_box import SecretBox
from common.webhooks import DeliveryFilter, DeliveryStatus, EndpointChange, NewEndpoint

router = v1_router("/v1/webhooks", "webhooks")
HOUR_SECONDS = 3600.0


async def endpoint_uuid(webhook_id: str) -> uuid.UUID:
    """The endpoint behind an id in a path. Raises NotFound for anything that is not such an id."""
    return ids.parsed(ids.WEBHOOK, webhook_id)


async def delivery_uuid(delivery_id: str) -> uuid.UUID:
    """The delivery behind an id in a path. Raises NotFound for anything that is not such an id."""
    return ids.parsed(ids.DELIVERY, delivery_id)


EndpointId = Annotated[uuid.UUID, Depends(endpoint_uuid)]
DeliveryId = Annotated[uuid.UUID, Depends(delivery_uuid)]
Cursor = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=100)]


def _seal(service: Service) -> SecretBox:
    keys = service.settings.secret_keys
    if not keys:
        raise WebhooksNotConfigured(
            "webhook endpoints are not configured: set PARAQUEUE_SECRET_KEY "
            "(generate it with `openssl rand -base64 32`) for the API and the light worker"
        )
    return SecretBox(keys)


@router.post("", status_code=201)
def create(
    request: Request, response: Response, service: ServiceDep, caller: AdminCaller, asked: WebhookCreate
) -> WebhookWithSecret:
    """Register an endpoint. The answer holds its secret, which cannot be read again."""
    new = NewEndpoint(asked.url, tuple(dict.fromkeys(asked.events)), asked.description, caller.tenant)
    endpoint, secret = webhooks.create_endpoint(service.database, _seal(service), new)
    response.headers["Location"] = f"{public_url(request, service)}/v1/webhooks/{endpoint.public_id}"
    return with_secret(endpoint, secret)


@router.get("")
def list_webhooks(service: ServiceDep, caller: ReadCaller) -> WebhookList:
    """All endpoints, newest first."""
    endpoints = webhooks.all_endpoints(service.database, tenant=caller.tenant)
    return WebhookList(data=[webhook_of(endpoint) for endpoint in endpoints])


@router.get("/deliveries")
def list_all_deliveries(
    service: ServiceDep,
    caller: ReadCaller,
    transcription_id: Annotated[str | None, Query(max_length=64)] = None,
    status: DeliveryStatus | None = None,
    after: Cursor = None,
    limit: Limit = 20,
) -> DeliveryList:
    """The log of all endpoints and of the transcriptions' own URLs, newest first."""
    job_id = ids.parsed(ids.JOB, transcription_id) if transcription_id is not None else None
    only = DeliveryFilter(job_id=job_id, status=status, tenant=caller.tenant)
    return _page(service, caller, only, after, limit)


@router.get("/deliveries/{delivery_id}")
def get_delivery(service: ServiceDep, caller: ReadCaller, delivery_id: DeliveryId) -> DeliveryOut:
    """One delivery."""
    delivery = webhooks.get_delivery(service.database, delivery_id, tenant=caller.tenant)
    return delivery_out(delivery, with_answer=Scope.ADMIN in caller.scopes)


@router.post("/deliveries/{delivery_id}/replay", status_code=202)
def replay(service: ServiceDep, caller: AdminCaller, delivery_id: DeliveryId) -> DeliveryOut:
    """Send a delivery again, under the same `webhook-id`; one that waits is sent at once."""
    delivery = webhooks.replay(service.database, delivery_id, tenant=caller.tenant)
    service.dispatcher.wake()
    return delivery_out(delivery, with_answer=True)


@router.get("/{webhook_id}")
def get_webhook(service: ServiceDep, caller: ReadCaller, endpoint_id: EndpointId) -> Webhook:
    """One endpoint."""
    return webhook_of(webhooks.get_endpoint(service.database, endpoint_id, tenant=caller.tenant))


@router.patch("/{webhook_id}")
def update(service: ServiceDep, caller: AdminCaller, endpoint_id: EndpointId, asked: WebhookUpdate) -> Webhook:
    """Change an endpoint."""
    events = tuple(dict.fromkeys(asked.events)) if asked.events is not None else None
    change = EndpointChange(asked.url, events, asked.enabled, asked.description)
    return webhook_of(webhooks.update_endpoint(service.database, endpoint_id, change, tenant=caller.tenant))


@router.delete("/{webhook_id}", status_code=204)
def delete(service: ServiceDep, caller: AdminCaller, endpoint_id: EndpointId) -> None:
    """Delete an endpoint with its secret and its log."""
    webhooks.delete_endpoint(service.database, endpoint_id, tenant=caller.tenant)


@router.post("/{webhook_id}/rotate")
def rotate(
    service: ServiceDep, caller: AdminCaller, endpoint_id: EndpointId, asked: SecretRotate | None = None
) -> WebhookWithSecret:
    """A new secret, shown this once. Until the overlap ends, each webhook carries the signatures of both."""
    overlap_seconds = (asked or SecretRotate()).overlap_hours * HOUR_SECONDS
    endpoint, secret = webhooks.rotate_secret(
        service.database, _seal(service), endpoint_id, overlap_seconds=overlap_seconds, tenant=caller.tenant
    )
    return with_secret(endpoint, secret)


@router.post("/{webhook_id}/test", status_code=202)
def test(service: ServiceDep, caller: AdminCaller, endpoint_id: EndpointId) -> DeliveryOut:
    """Send a `webhook.test` event; look at the delivery to see how it went."""
    delivery = webhooks.send_test(service.database, endpoint_id, tenant=caller.tenant)
    service.dispatcher.wake()
    return delivery_out(delivery, with_answer=True)


@router.get("/{webhook_id}/deliveries")
def list_deliveries(
    service: ServiceDep,
    caller: ReadCaller,
    endpoint_id: EndpointId,
    status: DeliveryStatus | None = None,
    after: Cursor = None,
    limit: Limit = 20,
) -> DeliveryList:
    """The log of an endpoint, newest first."""
    webhooks.get_endpoint(service.database, endpoint_id, tenant=caller.tenant)
    return _page(service, caller, DeliveryFilter(endpoint_id=endpoint_id, status=status), after, limit)


@router.post("/{webhook_id}/replay", status_code=202)
def replay_since(service: ServiceDep, caller: AdminCaller, endpoint_id: EndpointId, asked: ReplaySince) -> Replayed:
    """Send again what went to an endpoint since a time, each under its old `webhook-id`."""
    number = webhooks.replay_since(
        service.database, endpoint_id, asked.since, only_dead=asked.only_dead, tenant=caller.tenant
    )
    service.dispatcher.wake()
    return Replayed(replayed=number)


def _page(service: Service, caller: Caller, only: DeliveryFilter, after: str | None, limit: int) -> DeliveryList:
    page = webhooks.delivery_page(service.database, only, after=after, limit=limit)
    return DeliveryList(
        data=[delivery_out(item, with_answer=Scope.ADMIN in caller.scopes) for item in page.deliveries],
        next=page.next_cursor,
    )
