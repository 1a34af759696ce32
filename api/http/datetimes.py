"""Moments in a query, as the OpenAPI document says them. Pydantic also takes plain numbers, as seconds since 1970."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator


def written(value: object) -> object:
    """The value itself; ValueError for one that has not the form of RFC 3339"""
    if isinstance(value, str) and not (value[:4].isdigit() and value[4:5] == "-"):
        raise ValueError("must have the form 2026-11-22T18:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(written)]
