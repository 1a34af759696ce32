"""Moments by PostgreSQL's clock, never by that of a process: when a lease ends, when something is due or too old."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, literal
from sqlalchemy.orm import InstrumentedAttribute


def interval(seconds: float) -> ColumnElement[timedelta]:
    """A PostgreSQL interval."""
    return literal(timedelta(seconds=seconds))


def from_now(seconds: float) -> ColumnElement[datetime]:
    """So long after the beginning of the transaction; where a lease ends that is given now."""
    return func.now() + interval(seconds)


def ago(seconds: float) -> ColumnElement[datetime]:
    """So long before the beginning of the transaction."""
    return func.now() - interval(seconds)


def is_over(ends_at: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Whether a lease that ends then has ended: its holder is silent, and somebody else may take what it held."""
    return ends_at < func.now()
