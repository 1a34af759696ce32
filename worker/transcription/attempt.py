"""One attempt at a job, at its download or its transcription: how it ends is recorded, logged and counted here."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from common import jobs
from common.db import Database
from common.errors import Internal, ParaqueueError, Unavailable
from common.job_states import Stage
from common.jobs import Claim, LeaseLost
from common.telemetry import get_logger, tracing
from worker.engine.device.faults import DeviceLost
from worker.metrics import count_attempt
from worker.transcription.attempt_timer import AttemptTimer
from worker.transcription.lease import LeaseKeeper, RunningJob
from worker.transcription.retry import RetryPolicy, is_outage
from worker.transcription.stop import Stopped, StopReason

log = get_logger(__name__)
T = TypeVar("T")
# Outcomes that a trace shows as errors.
FAILED = {"failed", "retrying", "lost", "unsaid"}
PERSIST_PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Attempts:
    """Runs the attempts of one worker."""

    database: Database
    retries: RetryPolicy
    leases: LeaseKeeper
    lease_seconds: float
    worker: str
    model: str

    def run(
        self, claim: Claim, name: str, work: Callable[[RunningJob, AttemptTimer], str], *, downloads: bool = False
    ) -> str:
        """Hold the lease while `work`, which returns its outcome, is done; record how it ended if it did not end well.

        Returns the outcome. `name` is that of its span in traces; `downloads`: the work takes no slot.
        """
        with self._told_of(claim, name) as span, self.leases.hold(claim, downloads=downloads) as hold:
            outcome = self._worked(hold, work)
            span.tell({"paraqueue.outcome": outcome})
            if outcome in FAILED:
                span.fail(outcome)
        return outcome

    @contextmanager
    def _told_of(self, claim: Claim, name: str) -> Iterator[tracing.Span]:
        """Bind the job and the request that submitted it to the log and to a span of this name."""
        job = claim.job
        names = {"job_id": job.public_id, "attempt": claim.attempt}
        asked_by = {"request_id": claim.request_id} if claim.request_id else {}
        asked_at = job.created_at if job.run == 1 else job.not_before
        attributes: tracing.Attributes = {
            "paraqueue.job_id": job.public_id,
            "paraqueue.attempt": claim.attempt,
            "paraqueue.model": self.model,
            "paraqueue.worker": self.worker,
            "paraqueue.waited_seconds": max(0.0, (datetime.now(UTC) - job.not_before).total_seconds()),
        }
        to = tracing.relation(claim.traceparent, asked_at)
        traced = tracing.span(name, kind="consumer", parent=to.parent, link=to.link, attributes=attributes)
        with structlog.contextvars.bound_contextvars(**names, **asked_by), traced as span:
            yield span

    def _worked(self, hold: RunningJob, work: Callable[[RunningJob, AttemptTimer], str]) -> str:
        course = AttemptTimer()
        failure: Exception | None = None
        try:
            outcome = work(hold, course)
        except Exception as error:
            outcome, failure = self._end_early(hold, course, error), error
        self._log_line(hold, course, outcome, failure)
        return outcome

    def _end_early(self, hold: RunningJob, course: AttemptTimer, error: Exception) -> str:
        """Record how the attempt ended; if that fails, the sweep rescues the job when the lease expires."""
        try:
            return self._outcome(hold, course, error)
        except LeaseLost:
            return self._lost(hold)
        except ParaqueueError as unsaid:
            log.warning("outcome_not_recorded", error_code=unsaid.code, reason=unsaid.message)
            return "unsaid"

    def _outcome(self, hold: RunningJob, course: AttemptTimer, error: Exception) -> str:
        database, stage_ms, claim = self.database, course.stage_ms, hold.claim
        if isinstance(error, LeaseLost):
            return self._lost(hold)
        if isinstance(error, Stopped):
            if error.reason is StopReason.CANCELED:
                self.persist(lambda: jobs.stop_canceled(database, claim, stage_ms=stage_ms))
            elif error.reason is StopReason.SHUTDOWN:
                self.persist(lambda: jobs.release(database, claim, stage_ms=stage_ms))
            return error.reason.value
        if isinstance(error, DeviceLost):
            # Not counted as a failed attempt, because another job may have caused the loss of the device. A job that
            # loses every device it runs on must still be detected: quarantine does that by counting lost attempts.
            self.leases.let_go(claim)
            self.persist(lambda: jobs.give_up_lease(database, claim))
            return "lost"
        return self._failure(hold, course, error)

    def _lost(self, hold: RunningJob) -> str:
        """A write found the lease lost, perhaps before a renewal did; the attempt ends, and with it the renewals."""
        try:
            self.persist(lambda: self.leases.forgive(hold))
        except ParaqueueError as unsaid:
            log.warning("crash_not_forgiven", error_code=unsaid.code, reason=unsaid.message)
        return "lost"

    def _failure(self, hold: RunningJob, course: AttemptTimer, error: Exception) -> str:
        cause = error if isinstance(error, ParaqueueError) else Internal("an internal error; the log has it")
        if cause is not error:
            log.error("attempt_crashed", exc_info=error)
        reason = {"code": cause.code, "message": cause.message}
        claim = hold.claim
        counted = (0, 0) if hold.progressed else (claim.failures, claim.outages)
        pause = self.retries.pause(cause, *counted, jitter=random.random())
        if pause is None:
            self.persist(
                lambda: jobs.fail(self.database, claim, **reason, retryable=cause.retryable, stage_ms=course.stage_ms)
            )
            return "failed"
        self.persist(
            lambda: jobs.try_again(
                self.database, claim, **reason, pause_seconds=pause, stage_ms=course.stage_ms, outage=is_outage(cause)
            )
        )
        return "retrying"

    def persist(self, write: Callable[[], T]) -> T:
        """Write, retrying while the database is unavailable for less than a lease."""
        deadline = time.monotonic() + self.lease_seconds
        while True:
            try:
                return write()
            except Unavailable:
                if time.monotonic() > deadline:
                    raise
                time.sleep(PERSIST_PAUSE_SECONDS)

    def _log_line(self, hold: RunningJob, course: AttemptTimer, outcome: str, error: Exception | None) -> None:
        """Log one line per attempt, with its measurements."""
        took_ms = course.stage_ms.get(Stage.TRANSCRIBING, 0)
        resumed_ms = hold.claim.resume.end_ms if hold.claim.resume else 0
        done_ms = hold.processed_ms - resumed_ms
        rtf = round(took_ms / done_ms, 5) if done_ms > 0 else None
        code = error.code if isinstance(error, ParaqueueError) else None
        count_attempt(
            self.model,
            outcome=outcome,
            error_code=code,
            stage_seconds=course.stage_seconds,
            real_time_factor=rtf,
        )
        log.info(
            "attempt_ended",
            outcome=outcome,
            run=hold.claim.job.run,
            model=self.model,
            audio_ms=hold.processed_ms,
            resumed_ms=resumed_ms,
            stage_ms=course.stage_ms,
            rtf=rtf,
            error_code=code,
            error_type=type(error).__name__ if error else None,
        )
