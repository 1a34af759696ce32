"""Registered endpoints: their event subscriptions and signing secrets.

With `tenant`, endpoints of other tenants are treated as missing.
"""

from __future__ import annotations

import base64
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from common import ids
from common.db import Database
from common.db.leases import from_now
from common.errors import TooManyWebhooks
from common.models import DEFAULT_TENANT, DeliveryRow, EndpointRow
from common.secret_box import SecretBox
from common.webhooks.delivery import Delivery, DeliveryStatus, check_enabled, delivery_of
from common.webhooks.events import TEST_EVENT

# Each event writes one row per endpoint in the transaction that ends the job, which must stay cheap.
MAX_ENDPOINTS = 100
SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A receiver of events; `disabled_reason` says why it is off, unless a person turned it off."""

    id: uuid.UUID
    created_at: datetime
    tenant: str
    updated_at: datetime
    url: str
    description: str
    events: tuple[str, ...]
    enabled: bool
    disabled_reason: str | None
    previous_secret_until: datetime | None

    @property
    def public_id(self) -> str:
        """The public id of the endpoint."""
        return ids.shown(ids.WEBHOOK, self.id)


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """The attributes of an endpoint to be created."""

    url: str
    events: tuple[str, ...]
    description: str = ""
    tenant: str = DEFAULT_TENANT


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """Changes to an endpoint; None leaves a field unchanged."""

    url: str | None = None
    events: tuple[str, ...] | None = None
    enabled: bool | None = None
    description: str | None = None


def new_secret() -> str:
    """Return a signing secret in the format of Standard Webhooks."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def lane_of(endpoint_id: uuid.UUID) -> str:
    """Return the lane shared by the deliveries to one receiver, so that a slow receiver delays only its own."""
    return ids.shown(ids.WEBHOOK, endpoint_id)


def create_endpoint(database: Database, seal: SecretBox, new: NewEndpoint) -> tuple[Endpoint, str]:
    """Register an endpoint; its secret is returned here and never again. Raises TooManyWebhooks."""
    secret = new_secret()
    with database.transaction() as session:
        mine = select(func.count()).where(EndpointRow.tenant == new.tenant)
        if int(session.scalar(mine) or 0) >= MAX_ENDPOINTS:
            raise TooManyWebhooks(f"the limit of {MAX_ENDPOINTS} endpoints is reached; delete one first")
        row = session.scalars(
            insert(EndpointRow)
            .values(
                id=ids.new_id(),
                tenant=new.tenant,
                url=new.url,
                description=new.description,
                events=list(new.events),
                secret=seal.close(secret),
            )
            .returning(EndpointRow)
        ).one()
        return _endpoint_of(row), secret


def get_endpoint(database: Database, endpoint_id: uuid.UUID, *, tenant: str | None = None) -> Endpoint:
    """Return one endpoint. Raises NotFound."""
    with database.transaction() as session:
        return _endpoint_of(_existing(session, endpoint_id, tenant))


def all_endpoints(database: Database, *, tenant: str | None = None) -> list[Endpoint]:
    """Return the endpoints of a tenant, or of all, newest first; there are few."""
    statement = select(EndpointRow).order_by(EndpointRow.created_at.desc(), EndpointRow.id.desc())
    if tenant is not None:
        statement = statement.where(EndpointRow.tenant == tenant)
    with database.transaction() as session:
        return [_endpoint_of(row) for row in session.scalars(statement)]


def update_endpoint(
    database: Database, endpoint_id: uuid.UUID, change: EndpointChange, *, tenant: str | None = None
) -> Endpoint:
    """Change an endpoint; disabling it makes its waiting deliveries dead. Raises NotFound."""
    changed = {
        "url": change.url,
        "events": list(change.events) if change.events is not None else None,
        "enabled": change.enabled,
        "description": change.description,
    }
    values: dict[str, Any] = {name: value for name, value in changed.items() if value is not None}
    if change.enabled is not None:
        values["disabled_reason"] = None
    with database.transaction() as session:
        row = _changed(session, endpoint_id, tenant, values)
        if change.enabled is False:
            give_up_waiting(session, endpoint_id)
        return _endpoint_of(row)


def give_up_waiting(session: Session, endpoint_id: uuid.UUID) -> None:
    """Mark the waiting deliveries of a disabled endpoint as dead; they can be replayed."""
    session.execute(
        update(DeliveryRow)
        .where(DeliveryRow.endpoint_id == endpoint_id, DeliveryRow.status == DeliveryStatus.PENDING)
        .values(status=DeliveryStatus.DEAD, error="endpoint_disabled")
    )


def delete_endpoint(database: Database, endpoint_id: uuid.UUID, *, tenant: str | None = None) -> None:
    """Delete an endpoint with its secrets and log. Raises NotFound."""
    with database.transaction() as session:
        gone = session.scalar(delete(EndpointRow).where(_is(endpoint_id, tenant)).returning(EndpointRow.id))
        if gone is None:
            raise ids.missing(ids.WEBHOOK, endpoint_id)


def rotate_secret(
    database: Database, seal: SecretBox, endpoint_id: uuid.UUID, *, overlap_seconds: float, tenant: str | None = None
) -> tuple[Endpoint, str]:
    """Create a new secret, returned here and never again; until the overlap ends, the old one signs as well.

    Rotating again within the overlap drops the oldest secret. Raises NotFound.
    """
    secret = new_secret()
    values = {
        "secret": seal.close(secret),
        "previous_secret": EndpointRow.secret if overlap_seconds > 0 else None,
        "previous_secret_until": from_now(overlap_seconds) if overlap_seconds > 0 else None,
    }
    with database.transaction() as session:
        return _endpoint_of(_changed(session, endpoint_id, tenant, values)), secret


def reseal(database: Database, seal: SecretBox) -> int:
    """Re-encrypt all secrets with the first key, so that older keys can be removed; returns how many changed."""
    changed = 0
    with database.transaction() as session:
        for row in session.scalars(select(EndpointRow).order_by(EndpointRow.id).with_for_update()):
            for name in ("secret", "previous_secret"):
                sealed = getattr(row, name)
                renewed = seal.renewed(sealed) if sealed is not None else None
                if renewed is not None:
                    setattr(row, name, renewed)
                    changed += 1
    return changed


def send_test(database: Database, endpoint_id: uuid.UUID, *, tenant: str | None = None) -> Delivery:
    """Write a `webhook.test` event for an endpoint. Raises NotFound; WrongState if it is disabled."""
    with database.transaction() as session:
        owner = check_enabled(session, endpoint_id, tenant)
        row = session.scalars(
            insert(DeliveryRow)
            .values(
                id=ids.new_id(),
                tenant=owner,
                event=TEST_EVENT,
                endpoint_id=endpoint_id,
                lane=lane_of(endpoint_id),
                payload={"id": ids.shown(ids.WEBHOOK, endpoint_id), "message": "This is a test."},
            )
            .returning(DeliveryRow)
        ).one()
        return delivery_of(row)


def _is(endpoint_id: uuid.UUID, tenant: str | None) -> ColumnElement[bool]:
    """Build the condition that the row is this endpoint and, if a tenant is given, belongs to it."""
    mine = EndpointRow.id == endpoint_id
    return mine if tenant is None else mine & (EndpointRow.tenant == tenant)


def _changed(session: Session, endpoint_id: uuid.UUID, tenant: str | None, values: dict[str, Any]) -> EndpointRow:
    statement = update(EndpointRow).where(_is(endpoint_id, tenant)).values(**values, updated_at=func.now())
    row = session.scalars(statement.returning(EndpointRow)).one_or_none()
    if row is None:
        raise ids.missing(ids.WEBHOOK, endpoint_id)
    return row


def _existing(session: Session, endpoint_id: uuid.UUID, tenant: str | None) -> EndpointRow:
    row = session.get(EndpointRow, endpoint_id)
    if row is None or tenant not in (None, row.tenant):
        raise ids.missing(ids.WEBHOOK, endpoint_id)
    return row


def _endpoint_of(row: EndpointRow) -> Endpoint:
    return Endpoint(
        id=row.id,
        created_at=row.created_at,
        tenant=row.tenant,
        updated_at=row.updated_at,
        url=row.url,
        description=row.description,
        events=tuple(row.events),
        enabled=row.enabled,
        disabled_reason=row.disabled_reason,
        previous_secret_until=row.previous_secret_until,
    )
