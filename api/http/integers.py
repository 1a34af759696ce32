"""Integers in paths and queries, as the OpenAPI document describes them."""

from __future__ import annotations

import re

from pydantic import BeforeValidator

JSON_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")


def _written_as_in_json(value: object) -> object:
    """Refuse what Python reads as a number and JSON does not: `1_000`, `+1`, ` 1`, `007`. Raises ValueError."""
    if isinstance(value, str) and JSON_INTEGER.fullmatch(value) is None:
        raise ValueError("is not an integer")
    return value


# After Query or Path, as in Annotated[int, Query(ge=1), AS_IN_JSON]: before it, the limits would not be in the schema.
AS_IN_JSON = BeforeValidator(_written_as_in_json)
