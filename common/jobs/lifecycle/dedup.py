"""Deduplication: reuses the transcript of an earlier job with the same audio bytes, model and options."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Select, delete, func, insert, literal, select, true
from sqlalchemy.orm import Session

from common.db import Database
from common.job_states import Outcome, Status
from common.jobs.job import Job, job_of
from common.jobs.lifecycle.attempts import change_and_end
from common.jobs.lifecycle.claims import Claim
from common.jobs.lifecycle.finalize import ended
from common.jobs.lifecycle.outcomes import LINK_WITHOUT_QUERY, NO_LEASE
from common.jobs.lifecycle.submit import Submission, submit_in
from common.models import JobRow, MachineSentenceRow, PartRow, SentenceRow, SpeakerRow, as_recognised
from common.options.segmentation import SegmentationName
from common.options.transcription import TranscriptionOptions


@dataclass(frozen=True, slots=True)
class Served:
    """What the live workers of a model make transcripts with; empty without a live worker."""

    revisions: frozenset[str] = frozenset()
    segmentations: frozenset[str] = frozenset()


NOTHING_SERVED = Served()
COPIED = ("number", "channel", "start_ms", "end_ms", "confidence", "text", "spoken", "words", "speaker", "tags")


def find_duplicate(database: Database, submission: Submission, *, served: Served = NOTHING_SERVED) -> Job | None:
    """Return the tenant's newest job with a transcript of the same audio, made by the same model with the same options.

    Transcripts of revisions and, if the submission names no segmentation, of segmentations other than those that are
    `served` do not count.
    """
    if submission.audio_sha256 is None:
        return None
    with database.transaction() as session:
        row = session.scalar(_found(submission, (Status.COMPLETED,), served))
        return job_of(row) if row is not None else None


def find_or_submit(database: Database, submission: Submission, *, served: Served = NOTHING_SERVED) -> tuple[Job, bool]:
    """Return a running or completed job for the same audio, or else a new one; and whether it is new.

    Concurrent requests get the same job.
    """
    lock = func.pg_advisory_xact_lock(func.hashtextextended(f"{submission.tenant}/{submission.audio_sha256}", 0))
    with database.transaction() as session:
        session.execute(select(lock))
        row = session.scalar(_found(submission, (Status.QUEUED, Status.PROCESSING, Status.COMPLETED), served))
        return (job_of(row), False) if row is not None else (submit_in(session, submission), True)


def complete_from_duplicate(
    database: Database,
    held: Claim,
    *,
    revision: str,
    precision: str,
    segmentation: SegmentationName,
    stage_ms: Mapping[str, int],
) -> bool:
    """Change processing → completed with a copy of an earlier transcript of the same audio; False if there is none."""
    with database.transaction() as session:
        earlier = _completed_before(session, held.job, revision, precision, segmentation)
        if earlier is None:
            return False
        made = ("audio_ms", "result_model", "result_revision", "result_precision", "result_segmentation")
        found = ("result_channels", "no_speech", "tracks", "warnings")
        change_and_end(
            session,
            held,
            Outcome.COMPLETED,
            stage_ms=stage_ms,
            **NO_LEASE,
            status=Status.COMPLETED,
            finished_at=func.now(),
            **{name: getattr(earlier, name) for name in (*made, *found)},
            processed_ms=earlier.audio_ms,
            processing_ms=0,
            deduplicated_from=earlier.id,
            source_url=LINK_WITHOUT_QUERY,
            error_code=None,
            error_message=None,
            error_retryable=None,
        )
        _copy_sentences(session, held, earlier)
        ended(session, [held.job.id])
        return True


def _completed_before(
    session: Session, job: Job, revision: str, precision: str, segmentation: SegmentationName
) -> JobRow | None:
    """Return a completed job with the same audio, options, model, precision and segmentation, and lock it."""
    # The hash of linked audio is known only after fetching, that is, after the claim.
    sha256 = session.scalar(select(JobRow.audio_sha256).where(JobRow.id == job.id))
    if sha256 is None:
        return None
    statement = _same(job.tenant, sha256, job.model, job.channels, job.audio_track, job.options).where(
        JobRow.status == Status.COMPLETED,
        JobRow.result_revision == revision,
        JobRow.result_precision == precision,
        JobRow.result_segmentation == segmentation,
        JobRow.id != job.id,
    )
    # Prevents the sentences from being deleted while they are copied.
    return session.scalar(statement.with_for_update(read=True))


def _found(submission: Submission, statuses: Collection[Status], served: Served) -> Select[JobRow]:
    """Select jobs with the same audio as a submission whose hash is known."""
    assert submission.audio_sha256 is not None
    statement = _same(
        submission.tenant,
        submission.audio_sha256,
        submission.model,
        submission.channels,
        submission.audio_track,
        submission.options,
    ).where(JobRow.status.in_([status.value for status in statuses]))
    if served.revisions:
        statement = statement.where(JobRow.result_revision.is_(None) | JobRow.result_revision.in_(served.revisions))
    if served.segmentations and submission.options.segmentation is None:
        made_now = JobRow.result_segmentation.in_(served.segmentations)
        statement = statement.where(JobRow.result_revision.is_(None) | made_now)
    return statement


def _same(
    tenant: str, sha256: str, model: str, channels: str, audio_track: str, options: TranscriptionOptions
) -> Select[JobRow]:
    return (
        select(JobRow)
        .where(
            JobRow.tenant == tenant,
            JobRow.audio_sha256 == sha256,
            JobRow.model == model,
            JobRow.channels == channels,
            JobRow.audio_track == audio_track,
            JobRow.options == options.stored(),
            JobRow.result_deleted_at.is_(None),
            JobRow.cancel_requested.is_(False),
        )
        .order_by(JobRow.created_at.desc())
        .limit(1)
    )


def _copy_sentences(session: Session, held: Claim, earlier: JobRow) -> None:
    """Copy the sentences and speakers, replacing any from an earlier attempt; names that people gave stay behind."""
    job = held.job
    for row in (SentenceRow, PartRow, SpeakerRow):
        session.execute(delete(row).where(row.job_id == job.id, row.run == job.run))
    ours = (literal(job.id), literal(job.run), literal(job.tenant))
    # As the machine made them: what people split and merged stays behind, like their corrections.
    for table, also in ((SentenceRow, as_recognised(SentenceRow.__table__)), (MachineSentenceRow, true())):
        copies = select(*ours, *(getattr(table, name) for name in COPIED)).where(
            table.job_id == earlier.id, table.run == earlier.run, also
        )
        session.execute(insert(SentenceRow).from_select(["job_id", "run", "tenant", *COPIED], copies))
    length_ms = func.sum(SentenceRow.end_ms - SentenceRow.start_ms)
    theirs = (SentenceRow.job_id == job.id, SentenceRow.run == job.run, SentenceRow.speaker == SpeakerRow.number)
    speech_ms = select(func.coalesce(length_ms, 0)).where(*theirs).correlate(SpeakerRow).scalar_subquery()
    heard = select(*ours, SpeakerRow.number, speech_ms).where(
        SpeakerRow.job_id == earlier.id, SpeakerRow.run == earlier.run
    )
    columns = ["job_id", "run", "tenant", "number", "speech_ms"]
    session.execute(insert(SpeakerRow).from_select(columns, heard))
