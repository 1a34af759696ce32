"""The usage ledger: one record per run, and totals over them; it outlives the jobs."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Date, Row, Select, Text, func, select, true

from common.db import Database
from common.errors import InvalidRequest
from common.job_states import Status
from common.models import UsageRow

# More than a person reads, or than a program should receive in one response.
MAX_GROUPS = 10_000


class Dimension(StrEnum):
    """A dimension by which usage can be grouped."""

    TENANT = "tenant"
    KEY = "key"
    TAG = "tag"
    DAY = "day"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Usage:
    """Totals of the runs of one group; dimensions that were not grouped by, or that a run does not have, are None.

    `audio_ms` is the audio that was processed, including that of runs that later failed or were canceled;
    `processing_ms` is the time this took; `failures` counts the failed runs by error code.
    """

    tenant: str | None = None
    key_id: uuid.UUID | None = None
    tag: str | None = None
    day: date | None = None
    model: str | None = None
    runs: int = 0
    completed: int = 0
    failed: int = 0
    canceled: int = 0
    audio_ms: int = 0
    processing_ms: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)


FIELDS = {dimension: "key_id" if dimension is Dimension.KEY else dimension.value for dimension in Dimension}


def usage(
    database: Database,
    tenant: str | None,
    *,
    group_by: Collection[Dimension] = (),
    start: datetime,
    end: datetime,
) -> tuple[Usage, ...]:
    """Return the usage of runs that ended at or after `start` and before `end`, of a tenant or (None) of all.

    Days are UTC. A run with two tags counts under both, so groups by tag can add up to more than the total. Without
    `group_by` there is exactly one group, even if nothing ran. Raises InvalidRequest for more than 10,000 groups.
    """
    dimensions = [dimension for dimension in Dimension if dimension in group_by]
    statement = _statement(dimensions).where(UsageRow.ended_at >= start, UsageRow.ended_at < end)
    if tenant is not None:
        statement = statement.where(UsageRow.tenant == tenant)
    with database.transaction() as session:
        rows = session.execute(statement.limit(MAX_GROUPS + 1)).all()
    if len(rows) > MAX_GROUPS:
        raise InvalidRequest(f"more than {MAX_GROUPS} groups; choose a shorter period or fewer dimensions")
    groups: dict[tuple[Any, ...], list[Row[Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[: len(dimensions)]), []).append(row)
    if not groups and not dimensions:
        return (Usage(),)
    return tuple(_added_up(dimensions, values, group) for values, group in groups.items())


def _statement(dimensions: list[Dimension]) -> Select[Any]:
    """Return a row for each group, state and error code, ordered by the dimensions."""
    tags = func.unnest(UsageRow.tags, type_=Text).table_valued("tag").render_derived().lateral("tags")
    columns: dict[Dimension, Any] = {
        Dimension.TENANT: UsageRow.tenant,
        Dimension.KEY: UsageRow.key_id,
        Dimension.TAG: tags.c.tag,
        Dimension.DAY: func.timezone("UTC", UsageRow.ended_at).cast(Date),
        Dimension.MODEL: UsageRow.model,
    }
    by = [columns[dimension].label(dimension.value) for dimension in dimensions]
    outcome = (UsageRow.status, UsageRow.error_code)
    statement = select(
        *by, *outcome, func.count().label("runs"), func.sum(UsageRow.audio_ms), func.sum(UsageRow.processing_ms)
    )
    if Dimension.TAG in dimensions:
        statement = statement.select_from(UsageRow).outerjoin(tags, true())
    return statement.group_by(*by, *outcome).order_by(*by)


def _added_up(dimensions: list[Dimension], values: tuple[Any, ...], rows: list[Row[Any]]) -> Usage:
    """Sum the rows of one group.

    `rows` end in: status, error code, runs, milliseconds of audio, milliseconds of processing.
    """
    numbers = [tuple(row[len(dimensions) :]) for row in rows]
    runs = {status: sum(item[2] for item in numbers if item[0] == status) for status in Status}
    return Usage(
        **dict(zip((FIELDS[dimension] for dimension in dimensions), values, strict=True)),
        runs=sum(item[2] for item in numbers),
        completed=runs[Status.COMPLETED],
        failed=runs[Status.FAILED],
        canceled=runs[Status.CANCELED],
        audio_ms=int(sum(item[3] for item in numbers)),
        processing_ms=int(sum(item[4] for item in numbers)),
        failures={item[1]: item[2] for item in numbers if item[0] == Status.FAILED and item[1] is not None},
    )
