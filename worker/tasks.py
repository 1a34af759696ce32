"""transcribe(job_id): claim, run, finish; nothing else."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import structlog

from common import ids, jobs
from common.db import Database
from common.errors import Internal, ParaqueueError, Unavailable
from common.job_states import Stage
from common.jobs import Claim, Finished, LeaseLost
from common.settings import Settings
from common.telemetry import get_logger
from common.transcript import Part
from worker.engine.audio import DecodeLimits
from worker.engine.engine import Engine
from worker.lease import Hold, LeaseKeeper
from worker.pipeline import Ending, Hooks, Request, StaleState, transcribe
from worker.retry import RetryPolicy
from worker.source import Fetcher
from worker.stopping import Stopped, StopReason

log = get_logger(__name__)
T = TypeVar("T")
DECODE_STALL_SECONDS = 60.0
PERSIST_PAUSE_SECONDS = 0.5
# Who is suspected of killing its worker shows soon that it got further, so that others may run beside it.
SUSPECT_PART_SECONDS = 30.0


@dataclass
class Stopwatch:
    """Milliseconds spent in each stage of an attempt."""

    stage_ms: dict[str, int] = field(default_factory=dict)

    @contextmanager
    def stage(self, hold: Hold, stage: Stage) -> Iterator[None]:
        """Time a stage, and say that the job is in it."""
        hold.stage = stage
        began = time.monotonic()
        try:
            yield
        finally:
            took_ms = round((time.monotonic() - began) * 1000)
            self.stage_ms[stage.value] = self.stage_ms.get(stage.value, 0) + took_ms


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
        try:
            claim = jobs.claim(
                self.database,
                ids.parsed(ids.JOB, transcription_id),
                worker=self.worker,
                model=self.engine.bundle,
                lease_seconds=self.settings.lease_seconds,
            )
        except Unavailable as error:
            # Dispatch announces the job again when nobody has claimed it for a while.
            log.warning("claim_postponed", job_id=transcription_id, error_code=error.code, reason=error.message)
            return "postponed"
        if claim is None:
            self.wake_dispatcher()  # the job may wait for a worker that has nothing else to do
            return "not_to_be_had"
        bound = structlog.contextvars.bound_contextvars(job_id=transcription_id, attempt=claim.attempt)
        with bound, self.leases.hold(claim) as hold:
            outcome = self._attempt(hold)
        self.wake_dispatcher()
        return outcome

    def _attempt(self, hold: Hold) -> str:
        watch = Stopwatch()
        error: Exception | None = None
        try:
            outcome = self._work(hold, watch)
        except Exception as caught:
            error = caught
            outcome = self._end_early(hold.claim, watch, caught)
        self._log_line(hold, watch, outcome, error)
        return outcome

    def _work(self, hold: Hold, watch: Stopwatch) -> str:
        committed = Committed(hold.claim.sentences)
        with ExitStack() as stack:
            with watch.stage(hold, Stage.FETCHING):
                path = stack.enter_context(self.fetcher.fetch(hold.claim, hold.signal.check))
            if hold.claim.job.dedupe and self._done_before(hold.claim, watch):
                return "deduplicated"
            with watch.stage(hold, Stage.TRANSCRIBING):
                ending = self._transcribe(hold, path, committed)
        with watch.stage(hold, Stage.FINISHING):
            self._complete(hold.claim, ending, committed, watch)
        return "completed"

    def _done_before(self, claim: Claim, watch: Stopwatch) -> bool:
        """Whether an earlier transcript of the same audio could be taken."""
        return self._persist(
            lambda: jobs.complete_from_earlier(
                self.database,
                claim,
                revision=self.engine.revision,
                precision=self.engine.precision,
                stage_ms=watch.stage_ms,
            )
        )

    def _transcribe(self, hold: Hold, path: Path, committed: Committed) -> Ending:
        claim = hold.claim

        def commit(part: Part) -> None:
            self._persist(lambda: jobs.commit_part(self.database, claim, part, first_sentence=committed.sentences))
            committed.sentences += len(part.sentences)

        def tell(processed_ms: int, declared_ms: int | None) -> None:
            hold.processed_ms, hold.declared_ms = processed_ms, declared_ms

        request = Request(
            key=claim.token.hex,
            path=path,
            split_channels=claim.job.channels == "split",
            limits=self._limits(),
            part_seconds=min(self.settings.part_seconds, SUSPECT_PART_SECONDS if claim.alone else math.inf),
            resume=claim.resume,
        )
        hooks = Hooks(commit, tell, hold.signal)
        try:
            return transcribe(self.engine, request, hooks)
        except StaleState:
            log.info("run_restarted", reason="the parts so far are of another model revision or setting")
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

    def _complete(self, claim: Claim, ending: Ending, committed: Committed, watch: Stopwatch) -> None:
        finished = Finished(
            model=self.engine.bundle,
            revision=self.engine.revision,
            precision=self.engine.precision,
            channels=ending.channels,
            audio_ms=ending.audio_ms,
            processing_ms=watch.stage_ms[Stage.TRANSCRIBING] + claim.spent_ms,
            no_speech=committed.sentences + len(ending.last.sentences) == 0,
        )
        self._persist(
            lambda: jobs.complete(
                self.database,
                claim,
                ending.last,
                finished,
                first_sentence=committed.sentences,
                stage_ms=watch.stage_ms,
            )
        )

    def _end_early(self, claim: Claim, watch: Stopwatch, error: Exception) -> str:
        """Say how the attempt ended; what cannot be said, the sweep finds when the lease runs out."""
        try:
            return self._outcome(claim, watch, error)
        except LeaseLost:
            return "lost"
        except ParaqueueError as unsaid:
            log.warning("outcome_not_recorded", error_code=unsaid.code, reason=unsaid.message)
            return "unsaid"

    def _outcome(self, claim: Claim, watch: Stopwatch, error: Exception) -> str:
        database, stage_ms = self.database, watch.stage_ms
        if isinstance(error, LeaseLost):
            return "lost"
        if isinstance(error, Stopped):
            if error.reason is StopReason.CANCELED:
                self._persist(lambda: jobs.stop_canceled(database, claim, stage_ms=stage_ms))
            elif error.reason is StopReason.SHUTDOWN:
                self._persist(lambda: jobs.release(database, claim, stage_ms=stage_ms))
            return error.reason.value
        return self._failure(claim, watch, error)

    def _failure(self, claim: Claim, watch: Stopwatch, error: Exception) -> str:
        told = error if isinstance(error, ParaqueueError) else Internal("an internal error; the log has it")
        if told is not error:
            log.error("attempt_crashed", exc_info=error)
        said = {"code": told.code, "message": told.message}
        pause = self.retries.pause(told, claim.failures, jitter=random.random())
        if pause is None:
            self._persist(
                lambda: jobs.fail(self.database, claim, **said, retryable=told.retryable, stage_ms=watch.stage_ms)
            )
            return "failed"
        self._persist(
            lambda: jobs.try_again(self.database, claim, **said, pause_seconds=pause, stage_ms=watch.stage_ms)
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

    def _log_line(self, hold: Hold, watch: Stopwatch, outcome: str, error: Exception | None) -> None:
        """One line per attempt."""
        took_ms = watch.stage_ms.get(Stage.TRANSCRIBING, 0)
        resumed_ms = hold.claim.resume.end_ms if hold.claim.resume else 0
        done_ms = hold.processed_ms - resumed_ms
        log.info(
            "attempt_ended",
            outcome=outcome,
            run=hold.claim.job.run,
            model=self.engine.bundle,
            audio_ms=hold.processed_ms,
            resumed_ms=resumed_ms,
            stage_ms=watch.stage_ms,
            rtf=round(took_ms / done_ms, 5) if done_ms > 0 else None,
            error_code=error.code if isinstance(error, ParaqueueError) else None,
            error_type=type(error).__name__ if error else None,
        )
