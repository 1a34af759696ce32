"""The ledger of usage: what each run came to, added up. It outlives the jobs."""

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

# More than a person reads or a program should get in one answer.
MAX_GROUPS = 10_000


class Dimension(StrEnum):
    """What usage can be grouped by."""

    TENANT = "tenant"
    KEY = "key"
    TAG = "tag"
    DAY = "day"
    MODEL = "model"


@dataclass(frozen=True, slots=True)
class Usage:
    """What the runs of one group came to. What was not grouped by is None, as is what a run does not have.

    `audio_ms` is the audio that was worked on, also by runs that failed or were canceled then; `processing_ms` the
    time that took; `failures` counts the failed runs by error code.
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
    """What the runs of a tenant (None: of all) came to that ended from `start` on and before `end`.

    Days are those of UTC. A run with two tags counts under both: groups by tag add up to more than the whole.
    Without `group_by` there is one group, also if nothing ran. Raises InvalidRequest for more than 10,000 groups.
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
    return tuple(_added_up(dimensions, values, found) for values, found in groups.items())


def _statement(dimensions: list[Dimension]) -> Select[Any]:
    """A row for each group, state and error code, ordered by the dimensions."""
    tags = func.unnest(UsageRow.tags, type_=Text).table_valued("tag").render_derived().lateral("tags")
    columns: dict[Dimension, Any] = {
        Dimension.TENANT: UsageRow.tenant,
        Dimension.KEY: UsageRow.key_id,
        Dimension.TAG: tags.c.tag,
        Dimension.DAY: func.timezone("UTC", UsageRow.ended_at).cast(Date),
        Dimension.MODEL: UsageRow.model,
    }
    by = [columns[dimension].label(dimension.value) for dimension in dimensions]
    told = (UsageRow.status, UsageRow.error_code)
    statement = select(
        *by, *told, func.count().label("runs"), func.sum(UsageRow.audio_ms), func.sum(UsageRow.processing_ms)
    )
    if Dimension.TAG in dimensions:
        statement = statement.select_from(UsageRow).outerjoin(tags, true())
    return statement.group_by(*by, *told).order_by(*by)


def _added_up(dimensions: list[Dimension], values: tuple[Any, ...], rows: list[Row[Any]]) -> Usage:
    """`rows` end in: status, error code, runs, milliseconds of audio, milliseconds of processing."""
    told = [tuple(row[len(dimensions) :]) for row in rows]
    runs = {status: sum(item[2] for item in told if item[0] == status) for status in Status}
    return Usage(
        **dict(zip((FIELDS[dimension] for dimension in dimensions), values, strict=True)),
        runs=sum(item[2] for item in told),
        completed=runs[Status.COMPLETED],
        failed=runs[Status.FAILED],
        canceled=runs[Status.CANCELED],
        audio_ms=int(sum(item[3] for item in told)),
        processing_ms=int(sum(item[4] for item in told)),
        failures={item[1]: item[2] for item in told if item[0] == Status.FAILED and item[1] is not None},
    )
