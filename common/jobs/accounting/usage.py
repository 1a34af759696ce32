"""The usage ledger: one record per run or attempt at a summary, and totals over them; it outlives the jobs."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Date, Row, Select, Text, func, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from common.db import Database
from common.errors import InvalidRequest
from common.job_states import Status
from common.models import SummaryUsageRow, UsageRow

# More than a person reads, or than a program should receive in one response.
MAX_GROUPS = 10_000
Ledger = type[UsageRow] | type[SummaryUsageRow]


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
    `processing_ms` is the time this took; `failures` counts the failed runs by error code. The tokens are those of
    summaries, whose `model` is the language model.
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
    prompt_tokens: int = 0
    completion_tokens: int = 0


FIELDS = {dimension: "key_id" if dimension is Dimension.KEY else dimension.value for dimension in Dimension}


def usage(
    database: Database,
    tenant: str | None,
    *,
    group_by: Collection[Dimension] = (),
    start: datetime,
    end: datetime,
) -> tuple[Usage, ...]:
    """Return the usage of runs that ended, and summaries that began, at or after `start` and before `end`.

    It is that of a tenant or (None) of all.

    Days are UTC. A run with two tags counts under both, so groups by tag can add up to more than the total. Without
    `group_by` there is exactly one group, even if nothing ran. Raises InvalidRequest for more than 10,000 groups.
    """
    dimensions = [dimension for dimension in Dimension if dimension in group_by]
    outcome = (UsageRow.status, UsageRow.error_code)
    sums = (func.count().label("runs"), func.sum(UsageRow.audio_ms), func.sum(UsageRow.processing_ms))
    spent = (func.sum(SummaryUsageRow.prompt_tokens), func.sum(SummaryUsageRow.completion_tokens))
    groups: dict[tuple[Any, ...], list[Row[Any]]] = {}
    tokens: dict[tuple[Any, ...], tuple[int, int]] = {}
    with database.transaction() as session:
        statement = _statement(UsageRow, UsageRow.ended_at, dimensions, *sums, by=outcome)
        for row in _limited(session, _within(statement, UsageRow, UsageRow.ended_at, tenant, start, end)):
            groups.setdefault(tuple(row[: len(dimensions)]), []).append(row)
        statement = _statement(SummaryUsageRow, SummaryUsageRow.began_at, dimensions, *spent)
        for row in _limited(session, _within(statement, SummaryUsageRow, SummaryUsageRow.began_at, tenant, start, end)):
            *values, prompt, completion = tuple(row)
            tokens[tuple(values)] = (int(prompt or 0), int(completion or 0))
    if not groups and not dimensions:
        groups[()] = []
    extra = {values: list[Row[Any]]() for values in tokens if values not in groups}
    return tuple(_added_up(dimensions, values, rows, tokens) for values, rows in (groups | extra).items())


def _limited(session: Session, statement: Select[Any]) -> Sequence[Row[Any]]:
    rows = session.execute(statement.limit(MAX_GROUPS + 1)).all()
    if len(rows) > MAX_GROUPS:
        raise InvalidRequest(f"more than {MAX_GROUPS} groups; choose a shorter period or fewer dimensions")
    return rows


def _within(
    statement: Select[Any],
    table: Ledger,
    at: InstrumentedAttribute[datetime],
    tenant: str | None,
    start: datetime,
    end: datetime,
) -> Select[Any]:
    statement = statement.where(at >= start, at < end)
    return statement if tenant is None else statement.where(table.tenant == tenant)


def _statement(
    table: Ledger,
    at: InstrumentedAttribute[datetime],
    dimensions: list[Dimension],
    *sums: ColumnElement[Any],
    by: Sequence[InstrumentedAttribute[Any]] = (),
) -> Select[Any]:
    """Return a row of sums for each group, divided further `by` columns, ordered by the dimensions."""
    tags = func.unnest(table.tags, type_=Text).table_valued("tag").render_derived().lateral("tags")
    columns: dict[Dimension, Any] = {
        Dimension.TENANT: table.tenant,
        Dimension.KEY: table.key_id,
        Dimension.TAG: tags.c.tag,
        Dimension.DAY: func.timezone("UTC", at).cast(Date),
        Dimension.MODEL: table.model,
    }
    grouped = [columns[dimension].label(dimension.value) for dimension in dimensions]
    statement = select(*grouped, *by, *sums)
    if Dimension.TAG in dimensions:
        statement = statement.select_from(table).outerjoin(tags, true())
    return statement.group_by(*grouped, *by).order_by(*grouped)


def _added_up(
    dimensions: list[Dimension],
    values: tuple[Any, ...],
    rows: list[Row[Any]],
    tokens: Mapping[tuple[Any, ...], tuple[int, int]],
) -> Usage:
    """Sum the rows of one group.

    `rows` end in: status, error code, runs, milliseconds of audio, milliseconds of processing.
    """
    prompt_tokens, completion_tokens = tokens.get(values, (0, 0))
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
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
    )
