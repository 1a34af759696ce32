"""Operations of a worker on a job that it holds: renew, commit a part.

Every write is conditional on the lease token issued at the claim. A worker that lost its lease because it was frozen,
cut off or slow changes nothing: it gets LeaseLost and stops. Times come from PostgreSQL's clock, never from a worker's.
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
    Update,
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
from common.db.leases import from_now
from common.job_states import Outcome, Stage, Status
from common.jobs.lifecycle.claims import Claim
from common.jobs.scheduling.workers import Drain, Worker, heartbeat
from common.models import AttemptRow, JobRow, PartRow, SentenceRow, SpeakerWindowsRow
from common.telemetry import get_logger
from common.transcript.recording import NOTHING_KNOWN, Recording, tracks_json, warnings_json
from common.transcript.values import Part, Sentence, Word

log = get_logger(__name__)


class LeaseLost(Exception):
    """The worker no longer holds the job; its uncommitted work on it is void."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a claimed job, written with each renewal of its lease."""

    token: uuid.UUID
    stage: Stage
    processed_ms: int
    declared_ms: int | None


@dataclass(frozen=True, slots=True)
class Renewal:
    """The tokens of leases that are still held, each with whether its job is to be canceled; missing ones were lost.

    `drain` is what an operator requested of the worker.
    """

    held: Mapping[uuid.UUID, bool]
    drain: Drain | None


def renew(
    database: Database, worker: Worker, progress: Iterable[Progress], *, lease_seconds: float, draining: bool
) -> Renewal:
    """Renew all leases of a worker in one UPDATE and record its heartbeat, without waiting for the server's disk.

    A progress value that PostgreSQL rejects must not cost other jobs their leases: in that case all leases are renewed
    without progress.
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
        progress = values(
            column("token", Uuid),
            column("stage", Text),
            column("processed_ms", BigInteger),
            column("declared_ms", BigInteger),
            name="told",
        ).data([(item.token, item.stage.value, item.processed_ms, item.declared_ms) for item in items])
        statement = (
            update(JobRow)
            .where(
                JobRow.lease_worker == worker.id,  # found by index; the token decides
                JobRow.lease_token == progress.c.token,
                JobRow.status == Status.PROCESSING,
            )
            .values(
                lease_expires_at=from_now(lease_seconds),
                stage=progress.c.stage,
                processed_ms=func.greatest(JobRow.processed_ms, progress.c.processed_ms),
                # PostgreSQL needs the cast: it takes a column of nothing but NULLs for text.
                declared_ms=func.coalesce(progress.c.declared_ms.cast(BigInteger), JobRow.declared_ms),
            )
            .returning(JobRow.lease_token, JobRow.cancel_requested)
        )
        held = {cast(uuid.UUID, token): canceled for token, canceled in session.execute(statement)}
        return Renewal(held, drain)


def record_audio(database: Database, held: Claim, *, key: str, size: int, sha256: str) -> None:
    """Record the size and hash of an upload, which the first worker that reads it as a whole finds out."""
    with database.transaction() as session:
        change(session, held, audio_key=key, audio_bytes=size, audio_sha256=sha256)


def restart(database: Database, held: Claim) -> None:
    """Discard the parts of this run, which were made by another model revision or precision."""
    with database.transaction() as session:
        change(session, held, processed_ms=0, **found_columns(NOTHING_KNOWN))
        for row in (SentenceRow, PartRow):
            session.execute(delete(row).where(row.job_id == held.job.id, row.run == held.job.run))


def commit_part(database: Database, held: Claim, part: Part, *, first_sentence: int) -> None:
    """Append a part and its sentences, and the webhook events they cause, in one transaction."""
    with database.transaction() as session:
        processed_ms = func.greatest(JobRow.processed_ms, part.end_ms)
        counters = dict.fromkeys(("failures", "outages", "crashes", "isolated_crashes"), 0)
        recording_values = found_columns(part.recording)
        change(session, held, processed_ms=processed_ms, isolated=False, **counters, **recording_values)
        if append_part(session, held, part, first_sentence):
            webhooks.announce(session, webhooks.started(session, [held.job.id]))


def found_columns(recording: Recording) -> dict[str, Any]:
    """Return the findings of decoding as job columns.

    Each attempt decodes from the start, and so finds all of them again.
    """
    return {"tracks": tracks_json(recording.tracks), "warnings": warnings_json(recording.warnings)}


def append_part(session: Session, held: Claim, part: Part, first_sentence: int) -> bool:
    """Insert the rows of a part; only the newest part keeps its resume state. Returns whether it is new.

    Appending the same part again changes nothing: the response to a first call may have been lost.
    """
    if part.number > 0:
        earlier = (PartRow.job_id == held.job.id, PartRow.run == held.job.run, PartRow.number < part.number)
        session.execute(update(PartRow).where(*earlier, PartRow.state.is_not(None)).values(state=None))
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
    if part.windows and not part.last:
        windows = {"job_id": held.job.id, "run": held.job.run, "part": part.number, "windows": part.windows}
        session.execute(insert(SpeakerWindowsRow).values(windows).on_conflict_do_nothing())
    rows = [sentence_values(held, first_sentence + i, item) for i, item in enumerate(part.sentences)]
    if rows:
        session.execute(insert(SentenceRow).on_conflict_do_nothing(), rows)
    return new is not None


def sentence_values(held: Claim, number: int, sentence: Sentence) -> dict[str, Any]:
    """Return the columns of a sentence's row."""
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
        "speaker": sentence.speaker,
        "spoken": sentence.spoken,
        "tags": sentence.tags.stored() if sentence.tags is not None else None,
        "words": [word_values(word) for word in sentence.words],
    }


def word_values(word: Word) -> list[Any]:
    """Return the stored form of a word (see `SentenceRow`)."""
    values = [word.text, word.start_ms, word.end_ms, round(word.confidence, 4)]
    if word.speaker is not None:
        return [*values, word.filler, word.replaced_from, word.speaker]
    if word.replaced_from is not None:
        return [*values, word.filler, word.replaced_from]
    return [*values, True] if word.filler else values


def give_up_lease(database: Database, held: Claim) -> None:
    """End the lease now rather than at its expiry: the worker cannot continue, and the job may be the cause.

    The attempt then counts as lost, as if the process had died.
    """
    with database.transaction() as session:
        change(session, held, lease_expires_at=func.now())


def change(session: Session, held: Claim, **changes: Any) -> None:
    """Run the one conditional UPDATE behind every write of a worker. Raises LeaseLost if no row matches."""
    result = cast(CursorResult[Any], session.execute(_of_holder(held).values(**changes)))
    if result.rowcount != 1:
        raise _lost(held)


def change_and_end(
    session: Session,
    held: Claim,
    outcome: Outcome,
    *,
    stage_ms: Mapping[str, int],
    code: str | None = None,
    message: str | None = None,
    **changes: Any,
) -> None:
    """Change the job and close the row of the attempt, in one statement. Raises LeaseLost and changes neither."""
    changed = _of_holder(held).values(**changes).returning(JobRow.id).cte("changed")
    closed = (
        update(AttemptRow)
        .where(AttemptRow.job_id == changed.c.id, AttemptRow.token == held.token)
        .values(ended_at=func.now(), outcome=outcome, error_code=code, error_message=message, stage_ms=dict(stage_ms))
    )
    if session.scalar(select(changed.c.id).add_cte(closed.cte("closed"))) is None:
        raise _lost(held)


def _of_holder(held: Claim) -> Update:
    return update(JobRow).where(
        JobRow.id == held.job.id,
        JobRow.status == Status.PROCESSING,
        JobRow.lease_token == bindparam("held_token", held.token),
    )


def _lost(held: Claim) -> LeaseLost:
    return LeaseLost(f"{held.job.public_id} is not held by {held.token} any more")
