"""Requests for summaries, and what jobs tell of their transcripts."""

from __future__ import annotations

import uuid
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Text, Update, case, cast, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.orm import Session

from common import ids
from common.db import Database, Prepared
from common.db.leases import ago
from common.errors import Expired, NotFound, NoTranscript, WrongState
from common.job_states import TERMINAL, Status
from common.models import JobRow, SummaryRow, SummarySectionRow
from common.models.summaries import PREVIOUS
from common.summaries.prompts import KINDS
from common.summaries.summary import Summary, Wanted, summary_of
from common.summaries.templates import get_template

# As often as light workers look by themselves, at least.
NEW_SECONDS = 10.0
PENDING = (Status.QUEUED, Status.PROCESSING)
# A summary as it is when it is requested.
FRESH: dict[str, Any] = {
    "status": Status.QUEUED.value,
    "started_at": None,
    "finished_at": None,
    "failures": 0,
    "progress": 0.0,
    "token": None,
    "lease_expires_at": None,
    "content": None,
    "truncated": False,
    "stale": False,
    "model": None,
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "error_code": None,
    "error_message": None,
    "error_retryable": None,
}


def chosen(database: Database, kind: str, *, tenant: str, language: str | None = None) -> Wanted:
    """Return what a built-in kind, or the id of a template as it is now, stands for. Raises NotFound."""
    if kind in KINDS:
        return Wanted(kind, language=language)
    template = get_template(database, ids.parsed(ids.SUMMARY_TEMPLATE, kind), tenant=tenant)
    return Wanted("template", template.id, template.name, template.prompt, language)


def request(
    database: Database, job_id: uuid.UUID, wanted: Wanted, *, tenant: str, key_id: uuid.UUID | None = None
) -> Summary:
    """Request a summary, which replaces an earlier one when it is completed; if there is no transcript yet, it waits.

    Raises NotFound; NoTranscript or Expired if there will be none; WrongState while another is queued or processing.
    """
    with database.transaction() as session:
        # The lock keeps the job from ending between this look at its state and the commit.
        held = select(JobRow.status, JobRow.result_deleted_at).where(JobRow.id == job_id, JobRow.tenant == tenant)
        job = session.execute(held.with_for_update(read=True)).one_or_none()
        if job is None:
            raise ids.missing(ids.JOB, job_id)
        if job.result_deleted_at is not None:
            raise Expired("the transcript was deleted at the end of its retention period")
        if job.status in (Status.FAILED, Status.CANCELED):
            raise NoTranscript(f"the job is {job.status}")
        ready = job.status == Status.COMPLETED
        summary = request_in(session, job_id, wanted, tenant=tenant, key_id=key_id, ready=ready)
        if summary is None:
            raise WrongState("a summary of this transcript is being made; delete it to cancel that")
        return summary


def request_in(
    session: Session,
    job_id: uuid.UUID,
    wanted: Wanted,
    *,
    tenant: str,
    key_id: uuid.UUID | None,
    ready: bool,
) -> Summary | None:
    """Request a summary in the caller's transaction; None, and no change, while one is queued or processing.

    `ready`: the job has its transcript.
    """
    fields = _fields(wanted, tenant, key_id, ready=ready)
    ended = SummaryRow.status.in_(TERMINAL)
    statement = insert(SummaryRow).values(job_id=job_id, **fields)
    replaced = fields | {"previous": case((SummaryRow.content.is_not(None), _kept()), else_=SummaryRow.previous)}
    statement = statement.on_conflict_do_update(index_elements=["job_id"], set_=replaced, where=ended)
    row = session.scalars(statement.returning(SummaryRow), execution_options={"populate_existing": True}).one_or_none()
    if row is None:
        return None
    session.execute(delete(SummarySectionRow).where(SummarySectionRow.job_id == job_id))
    return summary_of(row)


def _kept() -> Any:
    """What stays of a completed summary (`PREVIOUS`)."""
    return func.jsonb_build_object(*(item for name in PREVIOUS for item in (name, getattr(SummaryRow, name))))


def request_missing_in(
    session: Session, job_id: uuid.UUID, wanted: Wanted, *, tenant: str, key_id: uuid.UUID | None
) -> None:
    """Request a summary of a completed job in the caller's transaction, unless one was requested before."""
    fields = _fields(wanted, tenant, key_id, ready=True)
    session.execute(insert(SummaryRow).values(job_id=job_id, **fields).on_conflict_do_nothing())


def _fields(wanted: Wanted, tenant: str, key_id: uuid.UUID | None, *, ready: bool) -> dict[str, Any]:
    return {
        "kind": wanted.kind,
        "template_id": wanted.template_id,
        "template_name": wanted.template_name,
        "prompt": wanted.prompt,
        "language": wanted.language,
        "tenant": tenant,
        "key_id": key_id,
        "due_at": func.now() if ready else None,
        "created_at": func.now(),
        **FRESH,
    }


def get(database: Database, job_id: uuid.UUID) -> Summary:
    """Return the summary of a job. Raises NotFound if none was requested."""
    summary = of_job(database, job_id)
    if summary is None:
        raise NotFound(f"{ids.shown(ids.JOB, job_id)} has no summary")
    return summary


def status_of(database: Database, job_id: uuid.UUID) -> Status | None:
    """Return the state of a job's summary, None if none was requested."""
    with database.transaction() as session:
        status = session.scalar(select(SummaryRow.status).where(SummaryRow.job_id == job_id))
        return Status(status) if status is not None else None


def of_job(database: Database, job_id: uuid.UUID) -> Summary | None:
    """Return the summary of a job, None if none was requested."""
    with database.transaction() as session:
        row = session.get(SummaryRow, job_id)
        return summary_of(row) if row is not None else None


def any_new(database: Database) -> bool:
    """Return whether any summary has just become due; light workers know of older ones by their sweep."""
    return bool(database.run(_any_new(), {}))


@cache  # building it takes longer than running it, and each dispatch asks
def _any_new() -> Prepared:
    due = (SummaryRow.status == Status.QUEUED, SummaryRow.due_at <= func.now(), SummaryRow.due_at > ago(NEW_SECONDS))
    return Prepared(select(SummaryRow.job_id).where(*due).limit(1))


def remove(database: Database, job_id: uuid.UUID) -> None:
    """Cancel a summary that is queued or processing, or delete one that has ended. Raises NotFound."""
    ours = SummaryRow.job_id == job_id
    stopped = {
        "status": Status.CANCELED,
        "finished_at": func.now(),
        "token": None,
        "lease_expires_at": None,
        # As one that was due: a retry of the job does not bring it back.
        "due_at": func.coalesce(SummaryRow.due_at, func.now()),
    }
    with database.transaction() as session:
        canceled = update(SummaryRow).where(ours, SummaryRow.status.in_(PENDING)).values(**stopped)
        if session.scalar(canceled.returning(SummaryRow.job_id)) is not None:
            # Its sections have no further use. The lock on it keeps its worker from adding one.
            session.execute(delete(SummarySectionRow).where(SummarySectionRow.job_id == job_id))
            return
        if session.scalar(delete(SummaryRow).where(ours).returning(SummaryRow.job_id)) is None:
            raise NotFound(f"{ids.shown(ids.JOB, job_id)} has no summary")


def mark_stale(session: Session, job_id: uuid.UUID) -> None:
    """Mark the summary of a transcript that the caller's transaction changes as older than the text."""
    # Unconditionally: the lock makes a worker that is about to read the text wait for the caller's commit.
    previous = func.jsonb_set(SummaryRow.previous, cast(["stale"], ARRAY(Text)), cast(True, JSONB))  # NULL stays NULL
    session.execute(update(SummaryRow).where(SummaryRow.job_id == job_id).values(stale=True, previous=previous))


def transcripts_ended(*over: ColumnElement[bool]) -> Update:
    """Build the statement that makes the waiting summaries of completed jobs due.

    It cancels those of jobs that failed or were canceled. `over` are the conditions for jobs that have ended.
    """
    done = JobRow.status == Status.COMPLETED
    changed = {
        "due_at": case((done, func.now())),
        "status": case((done, SummaryRow.status), else_=Status.CANCELED.value),
        "finished_at": case((~done, func.now())),
    }
    waiting = update(SummaryRow).where(
        *over,
        SummaryRow.job_id == JobRow.id,
        SummaryRow.status == Status.QUEUED,
        SummaryRow.due_at.is_(None),
    )
    return waiting.values(**changed)


def waits_again(session: Session, job_id: uuid.UUID) -> None:
    """Let the summary that ended with a job, without a transcript, wait for that of the retry."""
    session.execute(
        update(SummaryRow)
        .where(SummaryRow.job_id == job_id, SummaryRow.status == Status.CANCELED, SummaryRow.due_at.is_(None))
        .values(status=Status.QUEUED, finished_at=None)
    )
