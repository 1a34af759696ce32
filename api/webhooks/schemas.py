"""Request and response models of webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.http.datetimes import Moment
from api.http.urls import WebhookUrl, without_query
from common import ids
from common.webhooks import DEFAULT_EVENTS, Delivery, DeliveryStatus, Endpoint

# Spelled out instead of derived from `EventType`: this is the API's contract, and a test compares the two.
EventName = Literal[
    "transcription.completed",
    "transcription.failed",
    "transcription.canceled",
    "transcription.progress",
    "transcription.summarized",
    "batch.completed",
]
Events = Annotated[list[EventName], Field(min_length=1, max_length=8)]
Description = Annotated[str, StringConstraints(max_length=500, pattern=r"^[^\x00]*$")]
MAX_OVERLAP_HOURS = 168


class WebhookCreate(BaseModel):
    """A receiver of events."""

    model_config = ConfigDict(extra="forbid")

    url: WebhookUrl
    events: Events = Field(
        default=[event.value for event in DEFAULT_EVENTS],
        description="`transcription.progress` and `transcription.summarized` are sent only if listed.",
    )
    description: Description = ""


class WebhookUpdate(BaseModel):
    """Changes of an endpoint; missing and null values leave it unchanged."""

    model_config = ConfigDict(extra="forbid")

    url: WebhookUrl | None = None
    events: Events | None = None
    enabled: bool | None = Field(None, description="False abandons pending deliveries; they can be replayed.")
    description: Description | None = None


class SecretRotate(BaseModel):
    """How to change a secret."""

    model_config = ConfigDict(extra="forbid")

    overlap_hours: float = Field(
        24,
        allow_inf_nan=False,
        ge=0,
        le=MAX_OVERLAP_HOURS,
        description="Hours during which deliveries are signed with both secrets.",
    )


class ReplaySince(BaseModel):
    """Which deliveries to send again."""

    model_config = ConfigDict(extra="forbid")

    since: Moment = Field(description="Replay events from this time on.")
    only_dead: bool = Field(False, description="Replay only deliveries that were abandoned.")


class Webhook(BaseModel):
    """A registered endpoint."""

    id: str
    object: Literal["webhook"] = "webhook"
    url: str
    description: str
    events: list[str]
    enabled: bool
    disabled_reason: str | None = Field(description="Reason if the service disabled the endpoint; null if a user did.")
    previous_secret_until: datetime | None = Field(description="Until then, deliveries are signed with two secrets.")
    created_at: datetime
    updated_at: datetime


class WebhookWithSecret(Webhook):
    """An endpoint with its secret, which is shown this once."""

    secret: str = Field(description="`whsec_…`, for verifying signatures. It is shown only once.")


class WebhookList(BaseModel):
    """All endpoints, newest first; there are at most 100."""

    object: Literal["list"] = "list"
    data: list[Webhook]


class DeliveryOut(BaseModel):
    """One event for one receiver."""

    id: str = Field(description="Also the `webhook-id` header of every attempt.")
    object: Literal["webhook.delivery"] = "webhook.delivery"
    type: str
    webhook_id: str | None = Field(description="Null for a transcription's own `webhook_url`.")
    transcription_id: str | None = Field(
        description="Null for tests and batches, and if the transcription was deleted."
    )
    batch_id: str | None = Field(description="The batch, for `batch.completed`.")
    url: str | None = Field(description="A transcription's own `webhook_url`, without its query.")
    status: DeliveryStatus
    attempts: int
    last_status: int | None = Field(description="HTTP status of the last response; null if there was none.")
    last_error: str | None = Field(description="Reason why the last attempt failed.")
    last_answer: str | None = Field(
        description="First bytes of the last response; null for keys without the scope `admin`."
    )
    created_at: datetime
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None = Field(description="Null unless the delivery is pending.")
    delivered_at: datetime | None


class DeliveryList(BaseModel):
    """Some deliveries, newest first."""

    data: list[DeliveryOut]
    next: str | None = Field(description="Value of `after` for the next page; null on the last page.")


class Replayed(BaseModel):
    """What a replay came to."""

    replayed: int


def webhook_of(endpoint: Endpoint) -> Webhook:
    """Convert an endpoint to its API representation."""
    return Webhook.model_validate(_fields(endpoint))


def with_secret(endpoint: Endpoint, secret: str) -> WebhookWithSecret:
    """Convert an endpoint with its newly created secret to its API representation."""
    return WebhookWithSecret.model_validate({**_fields(endpoint), "secret": secret})


def _fields(endpoint: Endpoint) -> dict[str, object]:
    fields = {name: getattr(endpoint, name) for name in Webhook.model_fields if name not in {"id", "object"}}
    return {**fields, "id": endpoint.public_id, "events": list(endpoint.events)}


def delivery_out(delivery: Delivery, *, with_answer: bool) -> DeliveryOut:
    """Convert a delivery to its API representation; the receiver's response is for callers that may set receivers."""
    return DeliveryOut(
        id=delivery.public_id,
        type=delivery.event,
        webhook_id=ids.shown(ids.WEBHOOK, delivery.endpoint_id) if delivery.endpoint_id else None,
        transcription_id=ids.shown(ids.JOB, delivery.job_id) if delivery.job_id else None,
        batch_id=ids.shown(ids.BATCH, delivery.batch_id) if delivery.batch_id else None,
        url=without_query(delivery.url) if delivery.url else None,
        status=delivery.status,
        attempts=delivery.attempts,
        last_status=delivery.last_status,
        last_error=delivery.error,
        last_answer=delivery.answer if with_answer else None,
        created_at=delivery.created_at,
        last_attempt_at=delivery.last_attempt_at,
        next_attempt_at=delivery.next_attempt_at if delivery.status is DeliveryStatus.PENDING else None,
        delivered_at=delivery.delivered_at,
    )
