"""Accepting a job: once this commit succeeds, the job is never lost."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import insert
from sqlalchemy.orm import Session

from common import summaries, uploads
from common.db import Database, after_commit
from common.jobs.accounting.quota import NO_QUOTA, Quota, check
from common.jobs.job import JOBS, SHOWN, Job, job_shown
from common.models import DEFAULT_TENANT, JobWordsRow
from common.options.transcription import NO_OPTIONS, TranscriptionOptions, WordLists
from common.summaries import Wanted
from common.telemetry import bound, tracing
from common.telemetry.metrics import JOBS_SUBMITTED

INSERT = insert(JOBS).returning(*SHOWN)


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
    """Store the job as queued; wake the dispatcher afterwards, as submitting does not wait for Redis."""
    with database.transaction() as session:
        return submit_in(session, submission)


def submit_in(session: Session, submission: Submission, *, checked: bool = False) -> Job:
    """Store the job within the caller's transaction, which may commit other rows with it.

    Raises QuotaExceeded, unless the caller has already `checked` the quota.
    """
    if not checked:
        check(session, submission.tenant, submission.key_id, submission.quota)
    if submission.resumable:
        uploads.consume(session, submission.id, tenant=submission.tenant)
    values = dict(  # noqa: C408
        id=submission.id,
        tenant=submission.tenant,
        key_id=submission.key_id,
        model=submission.model,
        channels=submission.channels,
        audio_track=submission.audio_track,
        options=submission.options.stored(),
        priority=submission.priority,
        tags=list(submission.tags),
        source_kind=submission.source_kind,
        source_url=submission.url,
        source_name=submission.name,
        audio_key=submission.audio_key,
        audio_bytes=submission.audio_bytes,
        audio_sha256=submission.audio_sha256,
        webhook_url=submission.webhook_url,
        webhook_events=list(submission.webhook_events) if submission.webhook_events is not None else None,
        dedupe=submission.dedupe,
        batch_id=submission.batch_id,
        batch_number=submission.batch_number,
        request_id=bound("request_id"),
        traceparent=tracing.current(),
    )
    row = session.execute(INSERT, values).one()
    if submission.words is not None:
        listed = {"hotwords": list(submission.words.hotwords), "masked_words": list(submission.words.masked_words)}
        session.execute(insert(JobWordsRow).values(job_id=submission.id, **listed))
    if submission.summary is not None:
        wanted, key_id = submission.summary, submission.key_id
        summaries.request_in(session, submission.id, wanted, tenant=submission.tenant, key_id=key_id, ready=False)
    after_commit(session, JOBS_SUBMITTED.labels(submission.model, submission.source_kind).inc)
    return job_shown(row)
