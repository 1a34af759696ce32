"""JSON bodies that cost little to refuse: each fault of a body is an error object, and a body may hold thousands."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

# As many as a response lists.
UNKNOWN_FIELDS = 20


def without_surplus(value: Any, shape: type[BaseModel]) -> Any:
    """Return the object without unknown fields beyond the number that a response can list."""
    if not isinstance(value, dict):
        return value
    known = shape.model_fields.keys()
    surplus = set([name for name in value if name not in known][UNKNOWN_FIELDS:])
    return {name: item for name, item in value.items() if name not in surplus}


class StrictBody(BaseModel):
    """A body without unknown fields. Long lists in it should have `fail_fast`."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _few_unknown(cls, value: Any) -> Any:
        return without_surplus(value, cls)
