"""Queries of lists: the cursor to continue after, and the length of a page."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from api.http.integers import AS_IN_JSON

After = Annotated[str | None, Query(max_length=200)]
Limit = Annotated[int, Query(ge=1, le=100), AS_IN_JSON]
