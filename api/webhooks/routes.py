"""Webhooks: endpoints, their secrets, and the log of deliveries."""

from __future__ import annotations

import uuid
from typing import Annotated

from fastapi import Depends, Query, Request, Response

from api.auth.callers import Caller
from api.deps import (
    AdminCaller,
    DatabaseDep,
    DispatcherDep,
    ReadCaller,
    ReceiversDep,
    SettingsDep,
    public_url,
    v1_router,
)
from api.http.error_responses import errors_of
from api.http.paging import After, Limit
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
from common import errors, ids, webhooks
from common.db import Database
from common.errors import WebhooksNotConfigured
from common.keys import Scope
from common.secret_box import SecretBox
from common.settings import Settings
from common.settings.types import revealed
from common.webhooks import DeliveryFilter, DeliveryStatus, EndpointChange, NewEndpoint

router = v1_router("/v1/webhooks", "webhooks")
HOUR_SECONDS = 3600.0


async def endpoint_uuid(webhook_id: str) -> uuid.UUID:
    """Return the UUID of an endpoint id in a path. Raises NotFound if it is not a valid endpoint id."""
    return ids.parsed(ids.WEBHOOK, webhook_id)


async def delivery_uuid(delivery_id: str) -> uuid.UUID:
    """Return the UUID of a delivery id in a path. Raises NotFound if it is not a valid delivery id."""
    return ids.parsed(ids.DELIVERY, delivery_id)


EndpointId = Annotated[uuid.UUID, Depends(endpoint_uuid)]
DeliveryId = Annotated[uuid.UUID, Depends(delivery_uuid)]


def _seal(settings: Settings) -> SecretBox:
    keys = revealed(settings.secret_key)
    if not keys:
        raise WebhooksNotConfigured(
            "webhook endpoints are not configured: set PARAQUEUE_SECRET_KEY "
            "(generate it with `openssl rand -base64 32`) for the API and the light worker"
        )
    return SecretBox(keys)


@router.post("", status_code=201, responses=errors_of(errors.WebhooksNotConfigured, errors.TooManyWebhooks))
def create_webhook(
    request: Request,
    response: Response,
    database: DatabaseDep,
    receivers: ReceiversDep,
    settings: SettingsDep,
    caller: AdminCaller,
    body: WebhookCreate,
) -> WebhookWithSecret:
    """Register an endpoint. The response contains its secret, which cannot be read again."""
    receivers.check(body.url)
    new = NewEndpoint(body.url, tuple(dict.fromkeys(body.events)), body.description, caller.tenant)
    endpoint, secret = webhooks.create_endpoint(database, _seal(settings), new)
    response.headers["Location"] = f"{public_url(request)}/v1/webhooks/{endpoint.public_id}"
    return with_secret(endpoint, secret)


@router.get("")
def list_webhooks(database: DatabaseDep, caller: ReadCaller) -> WebhookList:
    """All endpoints, newest first."""
    endpoints = webhooks.all_endpoints(database, tenant=caller.tenant)
    return WebhookList(data=[webhook_of(endpoint) for endpoint in endpoints])


@router.get("/deliveries", responses=errors_of(errors.NotFound))
def list_deliveries(
    database: DatabaseDep,
    caller: ReadCaller,
    transcription_id: Annotated[str | None, Query(max_length=64)] = None,
    status: DeliveryStatus | None = None,
    after: After = None,
    limit: Limit = 20,
) -> DeliveryList:
    """Deliveries to all endpoints and to transcriptions' own URLs, newest first."""
    job_id = ids.parsed(ids.JOB, transcription_id) if transcription_id is not None else None
    only = DeliveryFilter(job_id=job_id, status=status, tenant=caller.tenant)
    return _page(database, caller, only, after, limit)


@router.get("/deliveries/{delivery_id}")
def get_delivery(database: DatabaseDep, caller: ReadCaller, delivery_id: DeliveryId) -> DeliveryOut:
    """One delivery."""
    delivery = webhooks.get_delivery(database, delivery_id, tenant=caller.tenant)
    return delivery_out(delivery, with_answer=Scope.ADMIN in caller.scopes)


@router.post(
    "/deliveries/{delivery_id}/replay", status_code=202, responses=errors_of(errors.WrongState, errors.Expired)
)
def replay_delivery(
    database: DatabaseDep, dispatcher: DispatcherDep, caller: AdminCaller, delivery_id: DeliveryId
) -> DeliveryOut:
    """Send a delivery again with the same `webhook-id`; a pending delivery is sent immediately."""
    delivery = webhooks.replay(database, delivery_id, tenant=caller.tenant)
    dispatcher.wake()
    return delivery_out(delivery, with_answer=True)


@router.get("/{webhook_id}")
def get_webhook(database: DatabaseDep, caller: ReadCaller, endpoint_id: EndpointId) -> Webhook:
    """One endpoint."""
    return webhook_of(webhooks.get_endpoint(database, endpoint_id, tenant=caller.tenant))


@router.patch("/{webhook_id}")
def update_webhook(
    database: DatabaseDep, receivers: ReceiversDep, caller: AdminCaller, endpoint_id: EndpointId, body: WebhookUpdate
) -> Webhook:
    """Change an endpoint."""
    if body.url is not None:
        receivers.check(body.url)
    events = tuple(dict.fromkeys(body.events)) if body.events is not None else None
    change = EndpointChange(body.url, events, body.enabled, body.description)
    return webhook_of(webhooks.update_endpoint(database, endpoint_id, change, tenant=caller.tenant))


@router.delete("/{webhook_id}", status_code=204)
def delete_webhook(database: DatabaseDep, caller: AdminCaller, endpoint_id: EndpointId) -> None:
    """Delete an endpoint with its secret and deliveries."""
    webhooks.delete_endpoint(database, endpoint_id, tenant=caller.tenant)


@router.post("/{webhook_id}/rotate", responses=errors_of(errors.WebhooksNotConfigured))
def rotate_webhook_secret(
    database: DatabaseDep,
    settings: SettingsDep,
    caller: AdminCaller,
    endpoint_id: EndpointId,
    body: SecretRotate | None = None,
) -> WebhookWithSecret:
    """Replace the secret. The new one is shown only once. Until the overlap ends, webhooks are signed with both."""
    overlap_seconds = (body or SecretRotate()).overlap_hours * HOUR_SECONDS
    endpoint, secret = webhooks.rotate_secret(
        database, _seal(settings), endpoint_id, overlap_seconds=overlap_seconds, tenant=caller.tenant
    )
    return with_secret(endpoint, secret)


@router.post("/{webhook_id}/test", status_code=202, responses=errors_of(errors.WrongState))
def test_webhook(
    database: DatabaseDep, dispatcher: DispatcherDep, caller: AdminCaller, endpoint_id: EndpointId
) -> DeliveryOut:
    """Send a `webhook.test` event; its delivery shows the result."""
    delivery = webhooks.send_test(database, endpoint_id, tenant=caller.tenant)
    dispatcher.wake()
    return delivery_out(delivery, with_answer=True)


@router.get("/{webhook_id}/deliveries")
def list_webhook_deliveries(
    database: DatabaseDep,
    caller: ReadCaller,
    endpoint_id: EndpointId,
    status: DeliveryStatus | None = None,
    after: After = None,
    limit: Limit = 20,
) -> DeliveryList:
    """Deliveries to an endpoint, newest first."""
    webhooks.get_endpoint(database, endpoint_id, tenant=caller.tenant)
    return _page(database, caller, DeliveryFilter(endpoint_id=endpoint_id, status=status), after, limit)


@router.post("/{webhook_id}/replay", status_code=202, responses=errors_of(errors.WrongState))
def replay_webhook_deliveries(
    database: DatabaseDep, dispatcher: DispatcherDep, caller: AdminCaller, endpoint_id: EndpointId, body: ReplaySince
) -> Replayed:
    """Replay an endpoint's deliveries since a time, each with its original `webhook-id`."""
    number = webhooks.replay_since(database, endpoint_id, body.since, only_dead=body.only_dead, tenant=caller.tenant)
    dispatcher.wake()
    return Replayed(replayed=number)


def _page(database: Database, caller: Caller, only: DeliveryFilter, after: str | None, limit: int) -> DeliveryList:
    page = webhooks.delivery_page(database, only, after=after, limit=limit)
    return DeliveryList(
        data=[delivery_out(item, with_answer=Scope.ADMIN in caller.scopes) for item in page.deliveries],
        next=page.next_cursor,
    )
