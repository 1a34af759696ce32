"""transcribe(job_id): claim, run, finish; nothing else."""

from __future__ import annotations

import math
import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import structlog

from common import ids, jobs
from common.db import Database
from common.errors import Internal, ParaqueueError, Unavailable
from common.job_states import Stage
from common.jobs import Claim, Finished, LeaseLost
from common.settings import Settings
from common.telemetry import get_logger, tracing
from common.transcript.values import Part
from worker.engine.audio import DecodeLimits
from worker.engine.device.faults import DeviceLost
from worker.engine.engine import Engine
from worker.engine.resume_state import StaleState
from worker.metrics import AUDIO_DECODED, count_attempt
from worker.transcription.attempt_timer import AttemptTimer
from worker.transcription.lease import LeaseKeeper, RunningJob
from worker.transcription.pipeline import Hooks, PipelineResult, Request, transcribe, with_no_speech
from worker.transcription.retry import RetryPolicy, is_outage
from worker.transcription.source import Fetcher
from worker.transcription.stop import Stopped, StopReason

log = get_logger(__name__)
T = TypeVar("T")
# How an attempt may end that a trace shows as an error.
FAILED = {"failed", "retrying", "lost", "unsaid"}
DECODE_STALL_SECONDS = 60.0
PERSIST_PAUSE_SECONDS = 0.5
# Who is suspected of killing its worker shows soon that it got further, so that others may run beside it.
QUARANTINE_PART_SECONDS = 30.0


@dataclass
class Committed:
    """How many sentences of the run are in the database."""

    sentences: int


@dataclass(frozen=True)
class Transcriber:
    """Runs the jobs of one worker, each in a thread of its own."""

    settings: Settings
    database: Database
    engine: Engine
    fetcher: Fetcher
    leases: LeaseKeeper
    retries: RetryPolicy
    worker: str
    wake_dispatcher: Callable[[], None]

    def run(self, transcription_id: str) -> str:
        """One message: take the job if it is still to be had, and work on it. Returns what came of it."""
        job_id, token = ids.parsed(ids.JOB, transcription_id), uuid.uuid4()
        try:
            claim = jobs.claim(
                self.database,
                job_id,
                worker=self.worker,
                model=self.engine.bundle,
                lease_seconds=self.settings.lease_seconds,
                token=token,
            )
        except Unavailable as error:
            # Dispatch announces the job again when nobody has claimed it for a while.
            log.warning("claim_postponed", job_id=transcription_id, error_code=error.code, reason=error.message)
            self._abandon(job_id, token)
            return "postponed"
        if claim is None:
            self.wake_dispatcher()  # the job may wait for a worker that has nothing else to do
            return "not_to_be_had"
        with self._told_of(claim) as span, self.leases.hold(claim) as hold:
            outcome = self._attempt(hold)
            span.tell({"paraqueue.outcome": outcome})
            if outcome in FAILED:
                span.fail(outcome)
        self.wake_dispatcher()
        return outcome

    def _abandon(self, job_id: uuid.UUID, token: uuid.UUID) -> None:
        """Undo a claim that may have been committed although we did not hear of it."""
        try:
            self._persist(lambda: jobs.abandon_claim(self.database, job_id, token))
        except ParaqueueError as error:
            log.warning("claim_not_undone", job_id=ids.shown(ids.JOB, job_id), error_code=error.code)

    @contextmanager
    def _told_of(self, claim: Claim) -> Iterator[tracing.Span]:
        """The log and the trace say whose work this is: the job's, and the request's that asked for it."""
        job = claim.job
        names = {"job_id": job.public_id, "attempt": claim.attempt}
        asked_by = {"request_id": claim.request_id} if claim.request_id else {}
        asked_at = job.created_at if job.run == 1 else job.not_before
        attributes: tracing.Attributes = {
            "paraqueue.job_id": job.public_id,
            "paraqueue.attempt": claim.attempt,
            "paraqueue.model": self.engine.bundle,
            "paraqueue.worker": self.worker,
            "paraqueue.waited_seconds": max(0.0, (datetime.now(UTC) - job.not_before).total_seconds()),
        }
        to = tracing.relation(claim.traceparent, asked_at)
        traced = tracing.span("transcribe", kind="consumer", parent=to.parent, link=to.link, attributes=attributes)
        with structlog.contextvars.bound_contextvars(**names, **asked_by), traced as span:
            yield span

    def _attempt(self, hold: RunningJob) -> str:
        course = AttemptTimer()
        error: Exception | None = None
        try:
            outcome = self._work(hold, course)
        except Exception as caught:
            error = caught
            outcome = self._end_early(hold, course, caught)
        self._log_line(hold, course, outcome, error)
        return outcome

    def _work(self, hold: RunningJob, course: AttemptTimer) -> str:
        committed = Committed(hold.claim.sentences)
        with ExitStack() as stack:
            with course.stage(hold, Stage.FETCHING):
                path = stack.enter_context(self.fetcher.fetch(hold.claim, hold.signal.check))
            if hold.claim.job.dedupe and self._done_before(hold.claim, course):
                return "deduplicated"
            with course.stage(hold, Stage.TRANSCRIBING):
                ending = self._transcribe(hold, path, committed, course)
        with course.stage(hold, Stage.FINISHING):
            self._complete(hold.claim, ending, committed, course)
        return "completed"

    def _done_before(self, claim: Claim, course: AttemptTimer) -> bool:
        """Whether an earlier transcript of the same audio could be taken."""
        return self._persist(
            lambda: jobs.complete_from_duplicate(
                self.database,
                claim,
                revision=self.engine.revision,
                precision=self.engine.precision,
                stage_ms=course.stage_ms,
            )
        )

    def _transcribe(self, hold: RunningJob, path: Path, committed: Committed, course: AttemptTimer) -> PipelineResult:
        claim = hold.claim

        def commit(part: Part) -> None:
            with course.commit():
                self._persist(lambda: jobs.commit_part(self.database, claim, part, first_sentence=committed.sentences))
            committed.sentences += len(part.sentences)
            hold.progressed = True

        def tell(processed_ms: int, declared_ms: int | None) -> None:
            AUDIO_DECODED.labels(self.engine.bundle).inc(max(0, processed_ms - hold.processed_ms) / 1000)
            hold.processed_ms, hold.declared_ms = processed_ms, declared_ms

        request = Request(
            key=claim.token.hex,
            path=path,
            limits=self._limits(),
            part_seconds=min(self.settings.part_seconds, QUARANTINE_PART_SECONDS if claim.isolated else math.inf),
            resume=claim.resume,
            channels=claim.job.channels,
            track=claim.job.audio_track,
        )
        hooks = Hooks(commit, tell, hold.signal, course.engine)
        try:
            return transcribe(self.engine, request, hooks)
        except StaleState as error:
            log.info("run_restarted", reason=str(error))
            self._persist(lambda: jobs.restart(self.database, claim))
            committed.sentences = 0
            return transcribe(self.engine, replace(request, resume=None), hooks)

    def _limits(self) -> DecodeLimits:
        return DecodeLimits(
            max_duration_ms=self.settings.max_audio_ms,
            cpu_seconds=self.settings.decode_cpu_seconds,
            memory_bytes=self.settings.decode_memory_bytes,
            idle_timeout_seconds=DECODE_STALL_SECONDS,
        )

    def _complete(self, claim: Claim, ending: PipelineResult, committed: Committed, course: AttemptTimer) -> None:
        no_speech = committed.sentences + len(ending.last.sentences) == 0
        last = with_no_speech(ending.last) if no_speech else ending.last
        finished = Finished(
            model=self.engine.bundle,
            revision=self.engine.revision,
            precision=self.engine.precision,
            channels=ending.channels,
            audio_ms=ending.audio_ms,
            processing_ms=course.stage_ms[Stage.TRANSCRIBING] + claim.spent_ms,
            no_speech=no_speech,
        )
        self._persist(
            lambda: jobs.complete(
                self.database,
                claim,
                last,
                finished,
                first_sentence=committed.sentences,
                stage_ms=course.stage_ms,
            )
        )

    def _end_early(self, hold: RunningJob, course: AttemptTimer, error: Exception) -> str:
        """Say how the attempt ended; what cannot be said, the sweep finds when the lease runs out."""
        try:
            return self._outcome(hold, course, error)
        except LeaseLost:
            return "lost"
        except ParaqueueError as unsaid:
            log.warning("outcome_not_recorded", error_code=unsaid.code, reason=unsaid.message)
            return "unsaid"

    def _outcome(self, hold: RunningJob, course: AttemptTimer, error: Exception) -> str:
        database, stage_ms, claim = self.database, course.stage_ms, hold.claim
        if isinstance(error, LeaseLost):
            return "lost"
        if isinstance(error, Stopped):
            if error.reason is StopReason.CANCELED:
                self._persist(lambda: jobs.stop_canceled(database, claim, stage_ms=stage_ms))
            elif error.reason is StopReason.SHUTDOWN:
                self._persist(lambda: jobs.release(database, claim, stage_ms=stage_ms))
            return error.reason.value
        if isinstance(error, DeviceLost):
            # No failed attempt, for the device may have been lost by another job. But if this one loses every device
            # it gets to, it must be found out: that is what quarantine does with lost attempts.
            self._persist(lambda: jobs.give_up_lease(database, claim))
            return "lost"
        return self._failure(hold, course, error)

    def _failure(self, hold: RunningJob, course: AttemptTimer, error: Exception) -> str:
        told = error if isinstance(error, ParaqueueError) else Internal("an internal error; the log has it")
        if told is not error:
            log.error("attempt_crashed", exc_info=error)
        said = {"code": told.code, "message": told.message}
        claim = hold.claim
        counted = (0, 0) if hold.progressed else (claim.failures, claim.outages)
        pause = self.retries.pause(told, *counted, jitter=random.random())
        if pause is None:
            self._persist(
                lambda: jobs.fail(self.database, claim, **said, retryable=told.retryable, stage_ms=course.stage_ms)
            )
            return "failed"
        self._persist(
            lambda: jobs.try_again(
                self.database, claim, **said, pause_seconds=pause, stage_ms=course.stage_ms, outage=is_outage(told)
            )
        )
        return "retrying"

    def _persist(self, write: Callable[[], T]) -> T:
        """Write, waiting out a database that is away for less than a lease."""
        deadline = time.monotonic() + self.settings.lease_seconds
        while True:
            try:
                return write()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PERSIST_PAUSE_SECONDS)

    def _log_line(self, hold: RunningJob, course: AttemptTimer, outcome: str, error: Exception | None) -> None:
        """One line per attempt, and its numbers."""
        took_ms = course.stage_ms.get(Stage.TRANSCRIBING, 0)
        resumed_ms = hold.claim.resume.end_ms if hold.claim.resume else 0
        done_ms = hold.processed_ms - resumed_ms
        rtf = round(took_ms / done_ms, 5) if done_ms > 0 else None
        code = error.code if isinstance(error, ParaqueueError) else None
        count_attempt(
            self.engine.bundle,
            outcome=outcome,
            error_code=code,
            stage_seconds=course.stage_seconds,
            real_time_factor=rtf,
        )
        log.info(
            "attempt_ended",
            outcome=outcome,
            run=hold.claim.job.run,
            model=self.engine.bundle,
            audio_ms=hold.processed_ms,
            resumed_ms=resumed_ms,
            stage_ms=course.stage_ms,
            rtf=rtf,
            error_code=code,
            error_type=type(error).__name__ if error else None,
        )
