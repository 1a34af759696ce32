"""The same audio once more: the transcript of an earlier job with the same bytes, model and options."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Select, delete, func, insert, literal, select
from sqlalchemy.orm import Session

from common.db import Database
from common.job_states import Outcome, Status
from common.jobs.job import Job, job_of
from common.jobs.lifecycle.attempts import Claim, change
from common.jobs.lifecycle.outcomes import NO_LEASE, end_attempt
from common.jobs.lifecycle.submit import Submission, submit_in
from common.models import JobRow, PartRow, SentenceRow

COPIED = ("number", "channel", "start_ms", "end_ms", "confidence", "text", "words")


def find_duplicate(database: Database, asked: Submission, *, revisions: Collection[str] = ()) -> Job | None:
    """The newest job of the tenant with a transcript of the same audio, made by the same model with the same options.

    With `revisions`, transcripts of other revisions of the model do not count.
    """
    if asked.audio_sha256 is None:
        return None
    with database.transaction() as session:
        row = session.scalar(_found(asked, (Status.COMPLETED,), revisions))
        return job_of(row) if row is not None else None


def find_or_submit(database: Database, asked: Submission, *, revisions: Collection[str] = ()) -> tuple[Job, bool]:
    """The running or completed job for the same audio, or a new one; and whether it is new.

    Two that ask at the same moment get the same job.
    """
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"{asked.tenant}/{asked.audio_sha256}", 0))
    with database.transaction() as session:
        session.execute(select(lock))
        found = session.scalar(_found(asked, (Status.QUEUED, Status.PROCESSING, Status.COMPLETED), revisions))
        return (job_of(found), False) if found is not None else (submit_in(session, asked), True)


def complete_from_duplicate(
    database: Database, held: Claim, *, revision: str, precision: str, stage_ms: Mapping[str, int]
) -> bool:
    """processing → completed with a copy of an earlier transcript of the same audio; False where there is none."""
    job = held.job
    # Of a link the hash is known since it was fetched, after the claim.
    own = select(JobRow.audio_sha256).where(JobRow.id == job.id)
    with database.transaction() as session:
        sha256 = session.scalar(own)
        if sha256 is None:
            return False
        statement = _same(job.tenant, sha256, job.model, job.channels, job.audio_track).where(
            JobRow.status == Status.COMPLETED,
            JobRow.result_revision == revision,
            JobRow.result_precision == precision,
            JobRow.id != job.id,
        )
        # Nobody deletes the sentences while they are copied.
        earlier = session.scalar(statement.with_for_update(read=True))
        if earlier is None:
            return False
        result = ("audio_ms", "result_model", "result_revision", "result_precision", "result_channels", "no_speech")
        recording = ("tracks", "warnings")
        change(
            session,
            held,
            **NO_LEASE,
            status=Status.COMPLETED,
            finished_at=func.now(),
            **{name: getattr(earlier, name) for name in (*result, *recording)},
            processed_ms=earlier.audio_ms,
            processing_ms=0,
            deduplicated_from=earlier.id,
            error_code=None,
            error_message=None,
            error_retryable=None,
        )
        _copy_sentences(session, held, earlier)
        end_attempt(session, held, Outcome.COMPLETED, stage_ms=stage_ms)
        return True


def _found(asked: Submission, statuses: Collection[Status], revisions: Collection[str]) -> Select[JobRow]:
    """Jobs for the audio of a submission that is known by its hash."""
    assert asked.audio_sha256 is not None
    statement = _same(asked.tenant, asked.audio_sha256, asked.model, asked.channels, asked.audio_track).where(
        JobRow.status.in_([status.value for status in statuses])
    )
    if revisions:
        statement = statement.where(JobRow.result_revision.is_(None) | JobRow.result_revision.in_(revisions))
    return statement


def _same(tenant: str, sha256: str, model: str, channels: str, audio_track: str) -> Select[JobRow]:
    return (
        select(JobRow)
        .where(
            JobRow.tenant == tenant,
            JobRow.audio_sha256 == sha256,
            JobRow.model == model,
            JobRow.channels == channels,
            JobRow.audio_track == audio_track,
            JobRow.result_deleted_at.is_(None),
            JobRow.cancel_requested.is_(False),
        )
        .order_by(JobRow.created_at.desc())
        .limit(1)
    )


def _copy_sentences(session: Session, held: Claim, earlier: JobRow) -> None:
    """In the place of what an attempt before may have done itself."""
    job = held.job
    for row in (SentenceRow, PartRow):
        session.execute(delete(row).where(row.job_id == job.id, row.run == job.run))
    ours = (literal(job.id), literal(job.run), literal(job.tenant))
    copies = select(*ours, *(getattr(SentenceRow, name) for name in COPIED)).where(
        SentenceRow.job_id == earlier.id, SentenceRow.run == earlier.run
    )
    session.execute(insert(SentenceRow).from_select(["job_id", "run", "tenant", *COPIED], copies))
