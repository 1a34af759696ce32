"""Accepting a job: once this commit succeeds, the job is never lost."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import bindparam, insert, select
from sqlalchemy.orm import Session

from common import summaries, uploads
from common.db import Database, Prepared, after_commit
from common.jobs.accounting.quota import NO_QUOTA, Quota, check, given_limits, has_room, owners_and_starts
from common.jobs.job import JOBS, SHOWN, Job, job_shown
from common.models import DEFAULT_TENANT, JobWordsRow
from common.options.transcription import NO_OPTIONS, TranscriptionOptions, WordLists
from common.summaries import Wanted
from common.telemetry import bound, tracing
from common.telemetry.metrics import JOBS_SUBMITTED

INSERT = insert(JOBS).returning(*SHOWN)
COLUMNS = (
    *("id", "tenant", "key_id", "model", "channels", "audio_track", "options", "priority", "tags"),
    *("source_kind", "source_url", "source_name", "audio_key", "audio_bytes", "audio_sha256"),
    *("webhook_url", "webhook_events", "dedupe", "batch_id", "batch_number", "request_id", "traceparent"),
)
AT_ONCE = Prepared(INSERT, COLUMNS)


@dataclass(frozen=True, slots=True)
class Submission:
    """A submission: either `url`, or the key and hash of a stored upload.

    `resumable`: the bytes came as a resumable upload, whose id the job takes. `words`: all words that apply, if some
    are of a vocabulary. `summary`: the summary to make of the transcript.
    """

    id: uuid.UUID
    model: str
    source_kind: str
    channels: str = "mix"
    audio_track: str = "default"
    options: TranscriptionOptions = NO_OPTIONS
    words: WordLists | None = None
    priority: int = 5
    tags: tuple[str, ...] = ()
    url: str | None = None
    name: str | None = None
    audio_key: str | None = None
    audio_bytes: int | None = None
    audio_sha256: str | None = None
    webhook_url: str | None = None
    webhook_events: tuple[str, ...] | None = None
    tenant: str = DEFAULT_TENANT
    key_id: uuid.UUID | None = None
    dedupe: bool = False
    batch_id: uuid.UUID | None = None
    batch_number: int | None = None
    resumable: bool = False
    quota: Quota = NO_QUOTA
    summary: Wanted | None = None


def submit(database: Database, submission: Submission) -> Job:
    """Store the job as queued; wake the dispatcher afterwards, as submitting does not wait for Redis.

    Raises QuotaExceeded.
    """
    if submission.words is None and submission.summary is None and not submission.resumable:
        job = _submit_at_once(database, submission)
        if job is not None:
            return job
    with database.transaction() as session:
        return submit_in(session, submission)


def _submit_at_once(database: Database, submission: Submission) -> Job | None:
    """Store the job by one statement; None if it may exceed the quota."""
    values = _values(submission)
    limits = given_limits(submission.quota) if submission.key_id is not None else {}
    if limits:
        values |= limits | owners_and_starts(submission.tenant, submission.key_id)
        rows = database.run(_within(frozenset(limits)), values)
    else:
        rows = database.run(AT_ONCE, values)
    if not rows:
        return None
    _counted(submission)()
    return job_shown(rows[0])


def submit_in(session: Session, submission: Submission, *, checked: bool = False) -> Job:
    """Store the job within the caller's transaction, which may commit other rows with it.

    Raises QuotaExceeded, unless the caller has already `checked` the quota.
    """
    if not checked:
        check(session, submission.tenant, submission.key_id, submission.quota)
    if submission.resumable:
        uploads.consume(session, submission.id, tenant=submission.tenant)
    row = session.execute(INSERT, _values(submission)).one()
    if submission.words is not None:
        listed = {"hotwords": list(submission.words.hotwords), "masked_words": list(submission.words.masked_words)}
        session.execute(insert(JobWordsRow).values(job_id=submission.id, **listed))
    if submission.summary is not None:
        wanted, key_id = submission.summary, submission.key_id
        summaries.request_in(session, submission.id, wanted, tenant=submission.tenant, key_id=key_id, ready=False)
    after_commit(session, _counted(submission))
    return job_shown(row)


@cache
def _within(limited: frozenset[str]) -> Prepared:
    """Build the statement that stores a job unless it may exceed one of these limits."""
    given = select(*(bindparam(name, type_=JOBS.c[name].type) for name in COLUMNS)).where(has_room(limited))
    return Prepared(insert(JOBS).from_select(COLUMNS, given, include_defaults=False).returning(*SHOWN))


def _counted(submission: Submission) -> Callable[[], None]:
    return JOBS_SUBMITTED.labels(submission.model, submission.source_kind).inc


def _values(submission: Submission) -> dict[str, Any]:
    """Return the row of a submission, by `COLUMNS`."""
    return {
        "id": submission.id,
        "tenant": submission.tenant,
        "key_id": submission.key_id,
        "model": submission.model,
        "channels": submission.channels,
        "audio_track": submission.audio_track,
        "options": submission.options.stored(),
        "priority": submission.priority,
        "tags": list(submission.tags),
        "source_kind": submission.source_kind,
        "source_url": submission.url,
        "source_name": submission.name,
        "audio_key": submission.audio_key,
        "audio_bytes": submission.audio_bytes,
        "audio_sha256": submission.audio_sha256,
        "webhook_url": submission.webhook_url,
        "webhook_events": list(submission.webhook_events) if submission.webhook_events is not None else None,
        "dedupe": submission.dedupe,
        "batch_id": submission.batch_id,
        "batch_number": submission.batch_number,
        "request_id": bound("request_id"),
        "traceparent": tracing.current(),
    }
