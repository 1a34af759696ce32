"""transcribe(job_id): claim, run, finish; nothing else."""

from __future__ import annotations

import math
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from common import ids, jobs
from common.db import Database
from common.errors import ParaqueueError, Unavailable
from common.job_states import Stage
from common.jobs import Attributed, Claim, DispatchLimits, Finished, Holder, NextClaim
from common.options.segmentation import SegmentationName
from common.settings import Settings
from common.telemetry import get_logger
from common.transcript.text_rules import as_spoken, finished
from common.transcript.values import Part
from common.voices import Heard
from worker.engine.audio import DecodeLimits
from worker.engine.engine import Engine
from worker.engine.resume_state import StaleState
from worker.engine.speakers.clustering import Labels, Wanted
from worker.engine.speakers.prints import voice_prints
from worker.engine.speakers.turns import attribute, find_speakers, numbered, numbering, turns_of
from worker.engine.speakers.windows import Windows, unpacked
from worker.metrics import AUDIO_DECODED
from worker.transcription.attempt import FAILED, Attempts
from worker.transcription.attempt_timer import AttemptTimer
from worker.transcription.fetching.fetcher import Fetcher
from worker.transcription.lease import LeaseKeeper, RunningJob
from worker.transcription.pipeline import Hooks, PipelineResult, Request, transcribe, with_no_speech

log = get_logger(__name__)
T = TypeVar("T")
DECODE_STALL_SECONDS = 60.0
# A quarantined job commits parts early to prove progress, so that other jobs may run beside it again.
QUARANTINE_PART_SECONDS = 30.0


# For how long the thread of a message goes on with further jobs. Then it returns to its queue, whose other messages
# would otherwise pile up while a backlog lasts.
IN_A_ROW_SECONDS = 10.0
TURN_SECONDS = 1.0
# Outcomes after which the slot is free and the worker fit for another job.
SLOT_FREE = {"completed", "deduplicated", "failed", "retrying", "canceled"}


class AttemptFailed(Exception):
    """The attempt failed, so that Celery and Flower show its task as failed; the job's row has the reason."""


@dataclass
class Committed:
    """The number of sentences of the run that are in the database."""

    sentences: int


@dataclass(frozen=True)
class Transcriber:
    """Runs the jobs of one worker, each in a thread of its own."""

    settings: Settings
    database: Database
    engine: Engine
    fetcher: Fetcher
    leases: LeaseKeeper
    attempts: Attempts
    wake_dispatcher: Callable[[], None]
    wake_light: Callable[[], None]
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def task(self, transcription_id: str) -> str:
        """Handle one message as a Celery task, and then, for a while, the jobs that come next.

        Returns the outcome of the message's own job; raises AttemptFailed if its attempt failed.
        """
        until = time.monotonic() + IN_A_ROW_SECONDS
        outcome = latest = self.run(transcription_id)
        while latest in SLOT_FREE and time.monotonic() < until and not self.leases.shutting_down:
            self.wake_light()
            latest = self._run_next()
        self.wake_dispatcher()  # also after a vain claim: the job may need a worker without other jobs
        if outcome in FAILED:
            raise AttemptFailed(outcome)
        return outcome

    def run(self, transcription_id: str) -> str:
        """Claim the job of a message if it is still available and run it. Returns the outcome."""
        job_id, token = ids.parsed(ids.JOB, transcription_id), uuid.uuid4()
        try:
            claim = jobs.claim(
                self.database,
                job_id,
                worker=self.attempts.worker,
                model=self.engine.bundle,
                lease_seconds=self.settings.lease_seconds,
                token=token,
            )
        except Unavailable as error:
            # Dispatch announces the job again if no worker claims it for a while.
            return self._postponed(error, token, job_id=transcription_id)
        return self._run_claimed(claim)

    def _run_next(self) -> str:
        """Claim the job that comes next and run it, without a message. Returns the outcome."""
        token = uuid.uuid4()
        try:
            found = self._claimed_next(token)
        except Unavailable as error:
            return self._postponed(error, token)
        if found.more:
            self.wake_dispatcher()
        return self._run_claimed(found.claim)

    def _claimed_next(self, token: uuid.UUID) -> NextClaim:
        settings = self.settings
        holder = Holder(self.attempts.worker, self.attempts.model, settings.lease_seconds)
        limits = DispatchLimits(settings.redispatch_seconds, settings.tenant_max_running, settings.tenant_slot_share)
        # The threads of a worker take turns: one that finds somebody else choosing waits for a message.
        if not self._turn.acquire(timeout=TURN_SECONDS):
            return NextClaim(None, more=True)
        try:
            return jobs.claim_next(self.database, holder, limits, token=token)
        finally:
            self._turn.release()

    def _run_claimed(self, claim: Claim | None) -> str:
        return "not_available" if claim is None else self.attempts.run(claim, "transcribe", self._work)

    def _postponed(self, error: Unavailable, token: uuid.UUID, **about: str) -> str:
        """Undo a claim that may have been committed although no confirmation arrived."""
        log.warning("claim_postponed", **about, error_code=error.code, reason=error.message)
        try:
            self.attempts.persist(lambda: jobs.abandon_claim(self.database, self.attempts.worker, token))
        except ParaqueueError as unsaid:
            log.warning("claim_not_undone", **about, error_code=unsaid.code)
        return "postponed"

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
        """Complete the job from an earlier transcript of the same audio; False if there is none."""
        return self.attempts.persist(
            lambda: jobs.complete_from_duplicate(
                self.database,
                claim,
                revision=self.engine.revision,
                precision=self.engine.precision,
                segmentation=self._segmentation(claim),
                stage_ms=course.stage_ms,
                least_similarity=self.settings.voice_similarity if self._compares_voices(claim) else None,
            )
        )

    def _transcribe(self, hold: RunningJob, path: Path, committed: Committed, course: AttemptTimer) -> PipelineResult:
        claim = hold.claim

        def commit(part: Part) -> None:
            with course.commit():
                self.attempts.persist(
                    lambda: jobs.commit_part(self.database, claim, part, first_sentence=committed.sentences)
                )
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
            speakers=claim.job.options.speakers,
            rules=claim.text_rules,
            segmentation=claim.job.options.segmentation,
            language=claim.job.options.language,
        )
        hooks = Hooks(commit, tell, hold.signal, course.engine)
        try:
            return transcribe(self.engine, request, hooks)
        except StaleState as error:
            log.info("run_restarted", reason=str(error))
            self.attempts.persist(lambda: jobs.restart(self.database, claim))
            committed.sentences = 0
            return transcribe(self.engine, replace(request, resume=None), hooks)

    def _segmentation(self, claim: Claim) -> SegmentationName:
        """How this worker divides the speech of a job."""
        return claim.job.options.segmentation or self.engine.segmentation

    def _limits(self) -> DecodeLimits:
        return DecodeLimits(
            max_duration_ms=self.settings.max_audio_ms,
            cpu_seconds=self.settings.decode_cpu_seconds,
            memory_bytes=self.settings.decode_memory_bytes,
            idle_timeout_seconds=DECODE_STALL_SECONDS,
        )

    def _complete(self, claim: Claim, ending: PipelineResult, committed: Committed, course: AttemptTimer) -> None:
        attributed = self._attributed(claim, ending.last) if claim.job.options.speakers else None
        no_speech = committed.sentences + len(ending.last.sentences) == 0
        last = with_no_speech(ending.last) if no_speech else ending.last
        result = Finished(
            model=self.engine.bundle,
            revision=self.engine.revision,
            precision=self.engine.precision,
            channels=ending.channels,
            audio_ms=ending.audio_ms,
            processing_ms=course.stage_ms[Stage.TRANSCRIBING] + claim.spent_ms,
            no_speech=no_speech,
            segmentation=self._segmentation(claim),
        )
        self.attempts.persist(
            lambda: jobs.complete(
                self.database,
                claim,
                last,
                result,
                first_sentence=committed.sentences,
                stage_ms=course.stage_ms,
                attributed=attributed,
            )
        )

    def _attributed(self, claim: Claim, last: Part) -> Attributed:
        """Find the speakers of the whole recording, and give its sentences to them."""
        windows = self.attempts.persist(lambda: jobs.speaker_windows(self.database, claim))
        committed = self.attempts.persist(lambda: list(jobs.sentences(self.database, claim.job, machine=True)))
        options = claim.job.options
        found = unpacked([*windows, last.windows])
        speakers = find_speakers(found, Wanted(options.min_speakers, options.max_speakers))
        stored = [*(replace(sentence, edit=None) for sentence in committed), *last.sentences]
        cut = attribute([as_spoken(sentence) for sentence in stored], turns_of(found, speakers))
        numbers = numbering(cut)
        sentences = [[finished(piece, claim.text_rules) for piece in pieces] for pieces in numbered(cut, numbers)]
        heard = self._heard(found, speakers, numbers) if self._compares_voices(claim) else None
        return Attributed(sentences, heard, self.settings.voice_similarity)

    def _compares_voices(self, claim: Claim) -> bool:
        """Whether voice prints of a job may be kept, if its tenant wants them."""
        return self.settings.voices == "on" and claim.job.options.known_voices

    def _heard(self, windows: Windows, speakers: Labels, numbers: Mapping[int, int]) -> Heard:
        """Return the voices of the speakers who said something, by their numbers in the transcript."""
        assert self.engine.speaker_model is not None, "it gave the windows"
        prints = voice_prints(windows, speakers)
        return Heard(self.engine.speaker_model, {numbers[item]: prints[item] for item in prints if item in numbers})
