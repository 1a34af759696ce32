"""Times by PostgreSQL's clock, never by a process's: when a lease expires, or when something is due or too old."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, literal
from sqlalchemy.orm import InstrumentedAttribute


def interval(seconds: float) -> ColumnElement[timedelta]:
    """Build a PostgreSQL interval."""
    return literal(timedelta(seconds=seconds))


def from_now(seconds: float) -> ColumnElement[datetime]:
    """Build the time this long after the start of the transaction, such as the expiry of a lease granted now."""
    return func.now() + interval(seconds)


def ago(seconds: float) -> ColumnElement[datetime]:
    """Build the time this long before the start of the transaction."""
    return func.now() - interval(seconds)


def is_over(ends_at: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Build the condition that a lease has expired: its holder is silent, and another may take over what it held."""
    return ends_at < func.now()
