"""The side effects of every run that ends: usage records and webhook events."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Date,
    Integer,
    Select,
    Uuid,
    bindparam,
    case,
    delete,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from common import summaries, webhooks
from common.db import after_commit
from common.job_states import TERMINAL, Stage, Status
from common.jobs.accounting.quota import CHANNELS
from common.jobs.lifecycle.batch_end import held_batches, tell_ends
from common.models import AttemptRow, JobRow, SpeakerWindowsRow, UsageDailyRow, UsageRow
from common.telemetry.metrics import AUDIO_TRANSCRIBED, PROCESSING, RUNS_ENDED

COUNTED = (UsageRow.model, UsageRow.status, UsageRow.error_code, UsageRow.audio_ms, UsageRow.processing_ms)
TODAY = func.timezone("UTC", func.now()).cast(Date)
TAKEN_OVER = ("tenant", "key_id", "model", "tags", "status", "error_code")


def ended(session: Session, job_ids: Sequence[uuid.UUID]) -> None:
    """Record usage and webhook events of jobs that ended and make their summaries due, in the same transaction.

    Call it last in every transaction that may end a job. Jobs that were queued again instead are ignored.
    """
    session.flush()
    book(session, job_ids)
    jobs = webhooks.started(session, job_ids)
    batches = held_batches(session, jobs)
    webhooks.announce(session, jobs)
    tell_ends(session, batches)


def book(session: Session, job_ids: Sequence[uuid.UUID]) -> None:
    """Record the usage of each of these runs that is over; booking a run twice changes nothing.

    The speaker embeddings of these jobs are deleted: nothing needs them any more. Summaries that wait become due.
    """
    for run in session.execute(BOOK, {"ids": list(job_ids)}):
        after_commit(session, partial(_count, *run))


def _booking() -> Select[Any]:
    """Build the statement of `book`, once, which returns what is counted of the runs that it books."""
    over = (JobRow.id == func.any(bindparam("ids", type_=ARRAY(Uuid))), JobRow.status.in_(TERMINAL))
    booked = _booked(over)
    # The sums per key and day (UTC) that quotas are checked against; each split channel counts. Ordered by key, so that
    # concurrent transactions lock rows in the same order.
    sums = (
        select(
            *(booked.c.key_id, func.max(booked.c.tenant), TODAY),
            func.sum(booked.c.audio_ms * booked.c.channels).cast(BigInteger),
        )
        .where(booked.c.key_id.is_not(None))
        .group_by(booked.c.key_id)
        .order_by(booked.c.key_id)
    )
    added = insert(UsageDailyRow).from_select(["key_id", "tenant", "day", "audio_ms"], sums)
    changed = {"audio_ms": UsageDailyRow.audio_ms + added.excluded.audio_ms, "tenant": added.excluded.tenant}
    daily = added.on_conflict_do_update(index_elements=["key_id", "day"], set_=changed)
    forgotten = delete(SpeakerWindowsRow).where(SpeakerWindowsRow.job_id.in_(select(JobRow.id).where(*over)))
    counted = select(*(booked.c[column.key] for column in COUNTED))
    summarised = summaries.transcripts_ended(*over)
    return counted.add_cte(daily.cte("daily"), forgotten.cte("forgotten"), summarised.cte("summarised"))


def _booked(over: Sequence[ColumnElement[bool]]) -> CTE:
    processed = case(
        (JobRow.deduplicated_from.is_not(None), 0),  # nothing was worked on
        (JobRow.status == Status.COMPLETED, JobRow.audio_ms),
        else_=JobRow.processed_ms,
    )
    runs = select(
        JobRow.id,
        JobRow.run,
        *(getattr(JobRow, name) for name in TAKEN_OVER),
        func.coalesce(processed, 0),
        func.coalesce(JobRow.processing_ms, _spent_ms()),
        literal_column(CHANNELS, Integer),
    ).where(*over)
    columns = ["job_id", "run", *TAKEN_OVER, "audio_ms", "processing_ms", "channels"]
    returned = (UsageRow.tenant, UsageRow.key_id, UsageRow.channels, *COUNTED)
    return insert(UsageRow).from_select(columns, runs).on_conflict_do_nothing().returning(*returned).cte("booked")


def _count(model: str, status: str, error_code: str | None, audio_ms: int, processing_ms: int) -> None:
    failed = status == Status.FAILED
    RUNS_ENDED.labels(model, status, error_code or "" if failed else "").inc()
    if status == Status.COMPLETED:
        AUDIO_TRANSCRIBED.labels(model).inc(audio_ms / 1000)
        PROCESSING.labels(model).inc(processing_ms / 1000)


def _spent_ms() -> object:
    """The time that the attempts of a run spent on transcribing; of lost ones it is not known."""
    spent = func.sum(AttemptRow.stage_ms[Stage.TRANSCRIBING.value].as_integer()).cast(BigInteger)
    return (
        select(func.coalesce(spent, 0))
        .where(AttemptRow.job_id == JobRow.id, AttemptRow.run == JobRow.run)
        .scalar_subquery()
    )


BOOK = _booking()
