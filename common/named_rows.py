"""Rows that tenants keep under names of their own: vocabularies, templates for summaries, known voices."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from common.db import cursors
from common.models import SummaryTemplateRow, VocabularyRow, VoiceRow

Table = type[SummaryTemplateRow] | type[VocabularyRow] | type[VoiceRow]


class Placed(Protocol):
    """What lists are ordered by."""

    @property
    def id(self) -> uuid.UUID:
        """The id."""

    @property
    def created_at(self) -> datetime:
        """When it was created."""


Item = TypeVar("Item", bound=Placed)


def lock(session: Session, table: Table, tenant: str, *, shared: bool = False) -> None:
    """Let one change of a tenant's rows be made at a time, so that numbers and names hold.

    With `shared`, only see none of them half done.
    """
    take = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
    session.execute(select(take(func.hashtextextended(f"{table.__tablename__} of {tenant}", 0))))


def number_of(session: Session, table: Table, tenant: str) -> int:
    """Return how many rows a tenant has."""
    return session.scalar(select(func.count()).where(table.tenant == tenant)) or 0


def is_taken(session: Session, table: Table, tenant: str, name: str) -> bool:
    """Return whether a row of the tenant has this name."""
    return session.scalar(select(table.id).where(table.tenant == tenant, table.name == name)) is not None


def newest(table: Table, tenant: str, after: str | None, limit: int, *columns: Any) -> Select[Any]:
    """Select a tenant's rows, or columns of them, newest first: a page and one more. Raises InvalidRequest."""
    place = tuple_(table.created_at, table.id)
    mine = select(*columns or (table,)).where(table.tenant == tenant)
    page = mine.order_by(table.created_at.desc(), table.id.desc()).limit(limit + 1)
    return page if after is None else page.where(place < tuple_(*cursors.decoded(after)))


def cut(found: Sequence[Item], limit: int) -> tuple[tuple[Item, ...], str | None]:
    """Return the page without the one more, and the cursor of the next page; None if this is the last page."""
    shown = tuple(found[:limit])
    return shown, cursors.encoded(shown[-1].created_at, shown[-1].id) if len(found) > limit else None
