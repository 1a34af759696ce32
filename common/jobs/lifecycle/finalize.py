"""The side effects of every run that ends: usage records and webhook events."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import BigInteger, Date, Integer, case, delete, func, literal_column, select
from sqlalchemy.dialects.postgresql import insert
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
    _forget_windows(session, job_ids)
    batches = held_batches(session, job_ids)
    summaries.transcripts_ended(session, job_ids)
    webhooks.announce(session, job_ids)
    tell_ends(session, batches)


def _forget_windows(session: Session, job_ids: Sequence[uuid.UUID]) -> None:
    """Delete the speaker embeddings of those of these jobs that have ended: nothing needs them any more."""
    over = select(JobRow.id).where(JobRow.id.in_(job_ids), JobRow.status.in_(TERMINAL))
    session.execute(delete(SpeakerWindowsRow).where(SpeakerWindowsRow.job_id.in_(over)))


def book(session: Session, job_ids: Sequence[uuid.UUID]) -> None:
    """A row of usage for each run that is over; booking a run twice changes nothing."""
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
    ).where(JobRow.id.in_(job_ids), JobRow.status.in_(TERMINAL))
    columns = ["job_id", "run", *TAKEN_OVER, "audio_ms", "processing_ms", "channels"]
    returned = (UsageRow.tenant, UsageRow.key_id, UsageRow.channels, *COUNTED)
    booking = insert(UsageRow).from_select(columns, runs).on_conflict_do_nothing().returning(*returned)
    by_key: Counter[uuid.UUID] = Counter()
    tenants: dict[uuid.UUID, str] = {}
    for run in session.execute(booking):
        counted = (run.model, run.status, run.error_code, run.audio_ms, run.processing_ms)
        after_commit(session, partial(_count, *counted))
        if run.key_id is not None:
            by_key[run.key_id] += run.audio_ms * run.channels
            tenants[run.key_id] = run.tenant
    _add_to_day(session, by_key, tenants)


def _add_to_day(session: Session, by_key: Mapping[uuid.UUID, int], tenants: Mapping[uuid.UUID, str]) -> None:
    """Return the sums per key and day (UTC) that quotas are checked against; each split channel counts.

    Ordered by key, so that concurrent transactions lock rows in the same order.
    """
    rows = [
        {"key_id": key_id, "tenant": tenants[key_id], "day": TODAY, "audio_ms": by_key[key_id]}
        for key_id in sorted(by_key)
    ]
    if rows:
        added = insert(UsageDailyRow).values(rows)
        changed = {"audio_ms": UsageDailyRow.audio_ms + added.excluded.audio_ms, "tenant": added.excluded.tenant}
        session.execute(added.on_conflict_do_update(index_elements=["key_id", "day"], set_=changed))


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
