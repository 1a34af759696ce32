"""The work on summaries: claims with a lease, sections as they are finished, and the ways it ends.

As with jobs, every change names the token of the claim; if no row changes, the summary was canceled, replaced or taken
over, and SummaryStopped is raised.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, delete, func, insert, literal, null, select, text, update
from sqlalchemy.orm import Session

from common import webhooks
from common.db import Database
from common.db.leases import from_now, is_over
from common.errors import SummaryLost
from common.job_states import Status
from common.models import JobRow, SummaryRow, SummarySectionRow
from common.summaries import usage
from common.summaries.summary import NO_TOKENS, Spent, SummaryFailure, Tokens, Wanted, summary_of

LEASE_SECONDS = 60.0
CLAIM_TRIES = 5
# The tenant that has the fewest summaries in work is next, and of that one the summary that is due for the longest
# time. From tenant to tenant by the index: the cost does not depend on how many summaries wait.
NEXT = text("""
WITH RECURSIVE waiting AS (
    (SELECT tenant FROM summaries WHERE status = 'queued' AND due_at IS NOT NULL ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (
        SELECT s.tenant FROM summaries s
        WHERE s.status = 'queued' AND s.due_at IS NOT NULL AND s.tenant > waiting.tenant ORDER BY s.tenant LIMIT 1
    )
    FROM waiting WHERE waiting.tenant IS NOT NULL
), busy AS (SELECT tenant, count(*) AS number FROM summaries WHERE status = 'processing' GROUP BY tenant)
SELECT first.job_id FROM waiting
CROSS JOIN LATERAL (
    SELECT s.job_id, s.due_at FROM summaries s
    WHERE s.status = 'queued' AND s.due_at <= now() AND s.tenant = waiting.tenant ORDER BY s.due_at LIMIT 1
) first
LEFT JOIN busy ON busy.tenant = waiting.tenant
ORDER BY coalesce(busy.number, 0), first.due_at LIMIT 1
""")


class SummaryStopped(Exception):
    """The summary was canceled, replaced or deleted, or another worker has it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A summary that this process makes as long as it holds the token; `failures` since the last step."""

    job_id: uuid.UUID
    token: uuid.UUID
    tenant: str
    key_id: uuid.UUID | None
    tags: tuple[str, ...]
    wanted: Wanted
    failures: int


@dataclass(frozen=True, slots=True)
class Section:
    """What was made of a section, or of several results of the level below (see `SummarySectionRow`)."""

    level: int
    number: int
    last: int
    text: str


def claim_next(database: Database) -> Claim | None:
    """Claim the summary that should be made next; None if none is due."""
    with database.transaction() as session:
        for _ in range(CLAIM_TRIES):
            job_id = session.scalar(NEXT)
            if job_id is None:
                return None
            if (claim := _claimed(session, job_id)) is not None:
                return claim
    return None  # others take them; the sweep wakes us again


def _claimed(session: Session, job_id: uuid.UUID) -> Claim | None:
    begun = select(SummarySectionRow.job_id).where(SummarySectionRow.job_id == job_id).exists()
    token = uuid.uuid4()
    row = session.scalars(
        update(SummaryRow)
        .where(SummaryRow.job_id == job_id, SummaryRow.status == Status.QUEUED, SummaryRow.due_at <= func.now())
        .values(
            status=Status.PROCESSING,
            token=token,
            lease_expires_at=from_now(LEASE_SECONDS),
            started_at=func.coalesce(SummaryRow.started_at, func.now()),
            # What is read from now on is new, but sections may be of before a change.
            stale=case((begun, SummaryRow.stale), else_=False),
        )
        .returning(SummaryRow)
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if row is None:
        return None
    tags = session.scalar(select(JobRow.tags).where(JobRow.id == job_id)) or []
    return Claim(job_id, token, row.tenant, row.key_id, tuple(tags), summary_of(row).wanted, row.failures)


def keep(database: Database, claim: Claim) -> None:
    """Renew the lease. Raises SummaryStopped."""
    with database.transaction() as session:
        _change(session, claim, lease_expires_at=from_now(LEASE_SECONDS))


def settle(database: Database, claim: Claim, *, language: str, prompt: str) -> None:
    """Record in which language and with which instructions the summary is made. Raises SummaryStopped."""
    with database.transaction() as session:
        _change(session, claim, language=language, prompt=prompt)


def sections_done(database: Database, claim: Claim, level: int) -> list[Section]:
    """Return what earlier attempts, and this one, have made on a level, in order."""
    columns = (SummarySectionRow.level, SummarySectionRow.number, SummarySectionRow.last, SummarySectionRow.text)
    ours = (SummarySectionRow.job_id == claim.job_id, SummarySectionRow.level == level)
    with database.transaction() as session:
        return [Section(*row) for row in session.execute(select(*columns).where(*ours).order_by(columns[1]))]


def commit_section(
    database: Database, claim: Claim, section: Section, *, truncated: bool, progress: float, spent: Spent
) -> None:
    """Store what was made of a section. Raises SummaryStopped; the tokens are counted all the same."""
    values = {"level": section.level, "number": section.number, "last": section.last, "text": section.text}
    _spend(database, claim, spent)
    with database.transaction() as session:
        changes = {"failures": 0, "progress": progress, "truncated": _or_before(truncated)}
        _change(session, claim, **changes, **_told(None), **_added(spent.tokens))
        session.execute(insert(SummarySectionRow).values(job_id=claim.job_id, **values))


def complete(database: Database, claim: Claim, content: str, *, truncated: bool, spent: Spent) -> None:
    """Change processing → completed. Raises SummaryStopped; the tokens are counted all the same."""
    _spend(database, claim, spent)
    changes = {
        "content": content,
        "truncated": _or_before(truncated),
        "model": spent.model,
        "progress": 1.0,
        "previous": null(),
        **_added(spent.tokens),
    }
    with database.transaction() as session:
        _last_change(session, claim, **_end(Status.COMPLETED), **changes, **_told(None))
        webhooks.announce_summary(session, claim.job_id, Status.COMPLETED)


def fail(database: Database, claim: Claim, failure: SummaryFailure, spent: Spent) -> None:
    """Change processing → failed. Raises SummaryStopped; the tokens are counted all the same."""
    _spend(database, claim, spent)
    with database.transaction() as session:
        _last_change(session, claim, **_end(Status.FAILED), **_told(failure), **_added(spent.tokens))
        webhooks.announce_summary(session, claim.job_id, Status.FAILED, failure.code)


def try_again(
    database: Database,
    claim: Claim,
    failure: SummaryFailure,
    spent: Spent,
    *,
    pause_seconds: float,
) -> None:
    """Change processing → queued after a transient error; it is due again after the pause. Raises SummaryStopped."""
    _spend(database, claim, spent)
    waiting = {**_waiting(), "due_at": from_now(pause_seconds), "failures": SummaryRow.failures + 1}
    with database.transaction() as session:
        _change(session, claim, **waiting, **_told(failure), **_added(spent.tokens))


def give_back(database: Database, claim: Claim) -> None:
    """Change processing → queued because the worker stops; it is not counted. Raises SummaryStopped."""
    with database.transaction() as session:
        _change(session, claim, **_waiting())


def rescue_expired(database: Database, *, max_failures: int) -> list[uuid.UUID]:
    """Queue summaries whose worker is silent, or fail those that have lost too many; returns their jobs."""
    final = SummaryRow.failures + 1 >= max_failures
    lost = SummaryFailure(SummaryLost.code, "the worker stopped while it made the summary", SummaryLost.retryable)
    silent = select(SummaryRow.job_id).where(
        SummaryRow.status == Status.PROCESSING, is_over(SummaryRow.lease_expires_at)
    )
    with database.transaction() as session:
        statement = (
            update(SummaryRow)
            .where(SummaryRow.job_id.in_(silent.with_for_update(skip_locked=True)))
            .values(
                **_waiting() | {"status": case((final, Status.FAILED.value), else_=Status.QUEUED.value)},
                finished_at=case((final, func.now())),
                failures=SummaryRow.failures + 1,
                **_told(lost),
            )
            .returning(SummaryRow.job_id, SummaryRow.status)
            .execution_options(synchronize_session=False)
        )
        rescued = session.execute(statement).all()
        for job_id, status in rescued:
            if status == Status.FAILED:
                webhooks.announce_summary(session, job_id, Status.FAILED, lost.code)
        return [job_id for job_id, _ in rescued]


def _change(session: Session, claim: Claim, **changes: Any) -> None:
    ours = (SummaryRow.job_id == claim.job_id, SummaryRow.token == claim.token)
    statement = update(SummaryRow).where(*ours).values(**changes).returning(SummaryRow.job_id)
    if session.scalar(statement.execution_options(synchronize_session=False)) is None:
        raise SummaryStopped("the summary is no longer wanted from this worker")


def _last_change(session: Session, claim: Claim, **changes: Any) -> None:
    """End a summary, which has no use for its sections any more. Raises SummaryStopped."""
    # The event of the end refers to the job. Deletion locks the job before its summary; the other order would deadlock.
    session.execute(select(JobRow.id).where(JobRow.id == claim.job_id).with_for_update(read=True, key_share=True))
    _change(session, claim, **changes)
    session.execute(delete(SummarySectionRow).where(SummarySectionRow.job_id == claim.job_id))


def _or_before(truncated: bool) -> Any:
    """What is missing in one section is missing in the summary."""
    return SummaryRow.truncated | literal(truncated)


def _spend(database: Database, claim: Claim, spent: Spent) -> None:
    """Count tokens in a transaction of their own: they were spent even if the summary is no longer wanted."""
    if spent.tokens != NO_TOKENS:
        with database.transaction() as session:
            usage.spend(session, claim.token, claim.tenant, claim.key_id, claim.tags, spent.model, spent.tokens)


def _added(tokens: Tokens) -> dict[str, Any]:
    return {
        "prompt_tokens": SummaryRow.prompt_tokens + literal(tokens.prompt),
        "completion_tokens": SummaryRow.completion_tokens + literal(tokens.completion),
    }


def _told(failure: SummaryFailure | None) -> dict[str, Any]:
    if failure is None:
        return {"error_code": None, "error_message": None, "error_retryable": None}
    return {"error_code": failure.code, "error_message": failure.message, "error_retryable": failure.retryable}


def _waiting() -> dict[str, Any]:
    return {"status": Status.QUEUED.value, "token": None, "lease_expires_at": None}


def _end(status: Status) -> dict[str, Any]:
    return {"status": status.value, "token": None, "lease_expires_at": None, "finished_at": func.now()}
