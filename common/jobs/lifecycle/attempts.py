"""What a worker does to a job that it holds: claim, renew, commit a part.

Every write names the lease token that it was given at the claim. A worker that lost its lease, because
it was frozen, cut off or slow, changes nothing: it gets LeaseLost and stops. Times come from
PostgreSQL's clock, never from a worker's.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    CursorResult,
    Text,
    Uuid,
    bindparam,
    column,
    delete,
    func,
    select,
    update,
    values,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from common import webhooks
from common.db import Database
from common.job_states import Stage, Status
from common.jobs.job import Job, job_of
from common.jobs.scheduling.quarantine import has_room
from common.jobs.scheduling.workers import Drain, Worker, heartbeat
from common.leases import from_now
from common.models import QUARANTINE_CRASHES, AttemptRow, JobRow, PartRow, SentenceRow
from common.telemetry import get_logger
from common.transcript.recording import NOTHING_KNOWN, Recording, tracks_json, warnings_json
from common.transcript.values import Part, Sentence

log = get_logger(__name__)
# Any number that is not that of another advisory lock; the second half of this one's is the worker.
CLAIM_LOCK = 0x7061_7263


class LeaseLost(Exception):
    """The job is not this worker's any more; whatever it still holds of it is worth nothing."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a job, until the lease runs out.

    `failures` and `outages` count the attempts that ended in an error since the last part was committed; `resume` is
    that part, without its sentences; `sentences` counts those committed so far; `spent_ms` is the time that
    earlier attempts of this run spent on transcribing; `isolated`: nothing else runs on this worker until the next part
    is committed. `request_id` and `traceparent` are of the call that asked for this run.
    """

    job: Job
    token: uuid.UUID
    attempt: int
    failures: int
    outages: int
    resume: Part | None
    sentences: int
    spent_ms: int
    isolated: bool = False
    request_id: str | None = None
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a claimed job is; written with each renewal of its lease."""

    token: uuid.UUID
    stage: Stage
    processed_ms: int
    declared_ms: int | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """The tokens that still hold, each with whether its job is to be canceled; one that is missing has been lost.

    `drain` is what an operator asked of the worker.
    """

    held: Mapping[uuid.UUID, bool]
    drain: Drain | None


def claim(
    database: Database,
    job_id: uuid.UUID,
    *,
    worker: str,
    model: str,
    lease_seconds: float,
    token: uuid.UUID | None = None,
) -> Claim | None:
    """Take a queued job. None where it is not there, not queued, not due, canceled or another model's.

    None also where the worker has no room for it: a job that may be what kills workers runs alone. Such a job may be
    announced again at once. Raises Unavailable; whoever gave the `token` can then undo what may have been done
    (`abandon_claim`).
    """
    token = token or uuid.uuid4()
    statement = (
        update(JobRow)
        .where(
            JobRow.id == job_id,
            JobRow.status == Status.QUEUED,
            JobRow.model == model,
            JobRow.not_before <= func.now(),
            JobRow.cancel_requested.is_(False),
            has_room(worker),
        )
        .values(
            status=Status.PROCESSING,
            isolated=JobRow.crashes >= QUARANTINE_CRASHES,
            stage=Stage.FETCHING,
            attempts=JobRow.attempts + 1,
            started_at=func.coalesce(JobRow.started_at, func.now()),
            dispatched_at=None,
            lease_token=token,
            lease_worker=worker,
            lease_expires_at=from_now(lease_seconds),
        )
        .returning(JobRow)
    )
    with database.transaction() as session:
        # One claim of a worker at a time, else two could each find it idle.
        session.execute(select(func.pg_advisory_xact_lock(CLAIM_LOCK, func.hashtext(worker))))
        row = session.scalars(statement).one_or_none()
        if row is None:
            _let_go(session, job_id, model)
            return None
        last = _last_part(session, row)
        session.execute(
            insert(AttemptRow).values(
                job_id=job_id,
                token=token,
                run=row.run,
                number=row.attempts,
                worker=worker,
                isolated=row.isolated,
                resumed_ms=last.end_ms if last else 0,
            )
        )
        return Claim(
            job=job_of(row),
            token=token,
            attempt=row.attempts,
            failures=row.failures,
            outages=row.outages,
            resume=last,
            sentences=_sentence_count(session, row),
            spent_ms=_spent_ms(session, row),
            isolated=row.isolated,
            request_id=row.request_id,
            traceparent=row.traceparent,
        )


def _let_go(session: Session, job_id: uuid.UUID, model: str) -> None:
    """The message of a job that could not be taken is used up: if it still waits, it needs another one."""
    session.execute(
        update(JobRow)
        .where(JobRow.id == job_id, JobRow.status == Status.QUEUED, JobRow.model == model)
        .values(dispatched_at=None)
    )


def _last_part(session: Session, job: JobRow) -> Part | None:
    row = session.scalars(
        select(PartRow).where(PartRow.job_id == job.id, PartRow.run == job.run).order_by(PartRow.number.desc()).limit(1)
    ).one_or_none()
    return Part(row.number, row.start_ms, row.end_ms, (), row.state or b"") if row else None


def _sentence_count(session: Session, job: JobRow) -> int:
    statement = select(func.coalesce(func.sum(PartRow.sentences), 0)).where(
        PartRow.job_id == job.id, PartRow.run == job.run
    )
    return int(session.scalar(statement) or 0)


def _spent_ms(session: Session, job: JobRow) -> int:
    """What lost attempts spent is not known: nobody was left to say it."""
    spent = AttemptRow.stage_ms[Stage.TRANSCRIBING.value].as_integer()
    statement = select(func.coalesce(func.sum(spent), 0)).where(AttemptRow.job_id == job.id, AttemptRow.run == job.run)
    return int(session.scalar(statement) or 0)


def renew(
    database: Database, worker: Worker, progress: Iterable[Progress], *, lease_seconds: float, draining: bool
) -> Renewal:
    """Renew all leases of a worker in one UPDATE and say that it is alive.

    A number that PostgreSQL refuses costs nobody else a lease: then all are renewed without their progress.
    """
    items = list(progress)
    try:
        return _renew(database, worker, items, lease_seconds=lease_seconds, draining=draining)
    except DataError:
        log.exception("progress_not_storable", worker=worker.id)
        bare = [Progress(item.token, item.stage, 0, None) for item in items]
        return _renew(database, worker, bare, lease_seconds=lease_seconds, draining=draining)


def _renew(
    database: Database, worker: Worker, items: list[Progress], *, lease_seconds: float, draining: bool
) -> Renewal:
    with database.transaction() as session:
        drain = heartbeat(session, worker, draining=draining)
        if not items:
            return Renewal({}, drain)
        told = values(
            column("token", Uuid),
            column("stage", Text),
            column("processed_ms", BigInteger),
            column("declared_ms", BigInteger),
            name="told",
        ).data([(item.token, item.stage.value, item.processed_ms, item.declared_ms) for item in items])
        statement = (
            update(JobRow)
            .where(JobRow.lease_token == told.c.token, JobRow.status == Status.PROCESSING)
            .values(
                lease_expires_at=from_now(lease_seconds),
                stage=told.c.stage,
                processed_ms=func.greatest(JobRow.processed_ms, told.c.processed_ms),
                # The cast is for PostgreSQL: a column of nothing but NULL is text to it.
                declared_ms=func.coalesce(told.c.declared_ms.cast(BigInteger), JobRow.declared_ms),
            )
            .returning(JobRow.lease_token, JobRow.cancel_requested)
        )
        held = {cast(uuid.UUID, token): canceled for token, canceled in session.execute(statement)}
        return Renewal(held, drain)


def record_audio(database: Database, held: Claim, *, key: str, size: int, sha256: str) -> None:
    """Say where a link's audio now lies, so that a later attempt reads the same bytes."""
    with database.transaction() as session:
        change(session, held, audio_key=key, audio_bytes=size, audio_sha256=sha256)


def restart(database: Database, held: Claim) -> None:
    """Throw away the parts of this run: they were made by another model revision or precision."""
    with database.transaction() as session:
        change(session, held, processed_ms=0, **found_columns(NOTHING_KNOWN))
        for row in (SentenceRow, PartRow):
            session.execute(delete(row).where(row.job_id == held.job.id, row.run == held.job.run))


def commit_part(database: Database, held: Claim, part: Part, *, first_sentence: int) -> None:
    """Append a part and its sentences, and what webhooks are to tell of it, in one transaction."""
    with database.transaction() as session:
        processed_ms = func.greatest(JobRow.processed_ms, part.end_ms)
        counters = dict.fromkeys(("failures", "outages", "crashes", "isolated_crashes"), 0)
        found = found_columns(part.recording)
        change(session, held, processed_ms=processed_ms, isolated=False, **counters, **found)
        if append_part(session, held, part, first_sentence):
            webhooks.announce(session, [held.job.id])


def found_columns(recording: Recording) -> dict[str, Any]:
    """What decoding found out, as columns of the job. Each attempt decodes from the start, and so finds all again."""
    return {"tracks": tracks_json(recording.tracks), "warnings": warnings_json(recording.warnings)}


def append_part(session: Session, held: Claim, part: Part, first_sentence: int) -> bool:
    """The rows of a part; only the newest one keeps its resume state. Returns whether it is new.

    Appending the same part again changes nothing: the answer to a first try may have got lost.
    """
    session.execute(
        update(PartRow)
        .where(
            PartRow.job_id == held.job.id,
            PartRow.run == held.job.run,
            PartRow.number < part.number,
            PartRow.state.is_not(None),
        )
        .values(state=None)
    )
    new = session.scalar(
        insert(PartRow)
        .values(
            job_id=held.job.id,
            run=held.job.run,
            number=part.number,
            start_ms=part.start_ms,
            end_ms=part.end_ms,
            sentences=len(part.sentences),
            state=None if part.last else part.state,
        )
        .on_conflict_do_nothing()
        .returning(PartRow.number)
    )
    rows = [_sentence_values(held, first_sentence + i, item) for i, item in enumerate(part.sentences)]
    if rows:
        session.execute(insert(SentenceRow).on_conflict_do_nothing(), rows)
    return new is not None


def _sentence_values(held: Claim, number: int, sentence: Sentence) -> dict[str, Any]:
    return {
        "job_id": held.job.id,
        "run": held.job.run,
        "number": number,
        "channel": sentence.channel,
        "start_ms": sentence.start_ms,
        "end_ms": sentence.end_ms,
        "confidence": round(sentence.confidence, 4),
        "text": sentence.text,
        "tenant": held.job.tenant,
        "words": [[word.text, word.start_ms, word.end_ms, round(word.confidence, 4)] for word in sentence.words],
    }


def give_up_lease(database: Database, held: Claim) -> None:
    """End the lease now instead of when it expires: the worker cannot go on, and the job may be the reason.

    The attempt then counts as lost, as if the process had died.
    """
    with database.transaction() as session:
        change(session, held, lease_expires_at=func.now())


def change(session: Session, held: Claim, **changes: Any) -> None:
    """The one conditional UPDATE behind every write of a worker. LeaseLost where no row matches."""
    statement = (
        update(JobRow)
        .where(
            JobRow.id == held.job.id,
            JobRow.status == Status.PROCESSING,
            JobRow.lease_token == bindparam("held_token", held.token),
        )
        .values(**changes)
    )
    result = cast(CursorResult[Any], session.execute(statement))
    if result.rowcount != 1:
        raise LeaseLost(f"{held.job.public_id} is not held by {held.token} any more")
