"""Makes requested summaries: each in a thread of its own, a few at once, apart from all other work.

A transcript that fits the model's context is one call. A longer one is cut into sections at the ends of sentences; each
is summarised and committed, and the results are merged, level by level, until one is left. So an interrupted summary
continues after its last call, and memory does not grow with the transcript.
"""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain

import structlog

from common import ids, jobs, summaries
from common.background import Background
from common.db import Database
from common.errors import (
    Internal,
    ParaqueueError,
    SummaryEmpty,
    SummaryInvalid,
    SummaryRejected,
    SummaryUnavailable,
    Unavailable,
)
from common.jobs import Job
from common.summaries import NO_TOKENS, Claim, Section, Spent, SummaryFailure, SummaryStopped
from common.summaries.prompts import BUILT_IN, Step, instructions, material
from common.summaries.sections import TextSection, groups, shortened, text_sections, tokens_of
from common.telemetry import get_logger
from common.transcript.scripts import language_of
from worker.light.chat import ChatEndpoint, Reply
from worker.metrics import count_summary

log = get_logger(__name__)
KEEP_SECONDS = 2.0
# For the marks around the material.
OVERHEAD_TOKENS = 100
# The rest of the progress is merging.
READING_SHARE = 0.9


class WorkerStops(Exception):
    """This process is shutting down."""


@dataclass(frozen=True, slots=True)
class SummaryRetries:
    """When a failed call is repeated: pauses double, until too many calls in a row have failed."""

    base_seconds: float = 5.0
    longest_seconds: float = 900.0
    most_failures: int = 10

    def pause(self, failures: int, *, retry_after: float | None, jitter: float) -> float | None:
        """Seconds until the next try, or None to give up. Pure.

        `failures` includes the current one; `jitter` from 0 to 1 shifts the pause down or up by a quarter;
        `retry_after`, the seconds that the endpoint requested, can only lengthen it.
        """
        if failures >= self.most_failures:
            return None
        grown = min(self.base_seconds * 2.0 ** min(failures - 1, 100), self.longest_seconds)
        return max(grown * (0.75 + 0.5 * jitter), min(retry_after or 0.0, self.longest_seconds))


class Summarizer(Background):
    """A thread that looks for due summaries when woken, and a pool of threads that make them."""

    def __init__(
        self,
        database: Database,
        endpoint: ChatEndpoint | None,
        *,
        concurrency: int = 2,
        retries: SummaryRetries = SummaryRetries(),
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Without an endpoint, requested summaries wait. `ended` is called when one has ended."""
        super().__init__("summarizer")
        self._database = database
        self._endpoint = endpoint
        self._retries = retries
        self._ended = ended
        self._free = threading.Semaphore(concurrency)
        self._pool = ThreadPoolExecutor(concurrency, thread_name_prefix="summarize")

    def stop(self) -> None:
        """Claim no more summaries, and give back those in work."""
        super().stop()
        self._pool.shutdown(wait=True)

    def work(self) -> None:
        """Rescue what other workers left, and assign due summaries to threads until no thread is free."""
        try:
            for job_id in summaries.rescue_expired(self._database, max_failures=self._retries.most_failures):
                log.warning("summary_lease_expired", job_id=ids.shown(ids.JOB, job_id))
            if self._endpoint is not None:
                while not self.stopping and self._start_next(self._endpoint):
                    pass
        except ParaqueueError as error:
            # The sweep wakes us again in a few seconds.
            log.warning("summaries_postponed", error_code=error.code, reason=error.message)

    def _start_next(self, endpoint: ChatEndpoint) -> bool:
        """Start the next summary; False if none is due or no thread is free."""
        if not self._free.acquire(blocking=False):
            return False
        claim = None
        try:
            claim = summaries.claim_next(self._database)
            if claim is not None:
                self._pool.submit(self._make, endpoint, claim)
            return claim is not None
        finally:
            if claim is None:
                self._free.release()

    def _make(self, endpoint: ChatEndpoint, claim: Claim) -> None:
        with structlog.contextvars.bound_contextvars(job_id=ids.shown(ids.JOB, claim.job_id)):
            try:
                self._settle(endpoint, claim)
            except SummaryStopped:
                log.info("summary_stopped")
            except ParaqueueError as error:
                # Its lease expires, and it is made again from its last section on.
                log.warning("summary_not_recorded", error_code=error.code, reason=error.message)
            except Exception:
                log.exception("summary_crashed")
            finally:
                self._free.release()
                self.wake()

    def _settle(self, endpoint: ChatEndpoint, claim: Claim) -> None:
        making = Making(self._database, endpoint, claim, self._keeping(claim))
        began = time.monotonic()
        try:
            making.run()
        except WorkerStops:
            summaries.give_back(self._database, claim)
        except ParaqueueError as error:
            self._failed(endpoint, claim, making, error)
        except SummaryStopped:
            raise
        except Exception as error:
            log.exception("summary_failed_unexpectedly")
            self._failed(endpoint, claim, making, Internal(f"an internal error: {type(error).__name__}"))
        else:
            count_summary("completed", None)
            log.info("summary_made", took_ms=round((time.monotonic() - began) * 1000), model=endpoint.model)
            self._ended()

    def _failed(self, endpoint: ChatEndpoint, claim: Claim, making: Making, error: ParaqueueError) -> None:
        failures = 1 + (0 if making.advanced else claim.failures)
        retry_after = error.after_seconds if isinstance(error, SummaryUnavailable) else None
        pause = self._retries.pause(failures, retry_after=retry_after, jitter=random.random())
        failure = SummaryFailure(error.code, error.message, error.retryable)
        spent = Spent(endpoint.model, making.unbooked)
        if error.retryable and pause is not None:
            summaries.try_again(self._database, claim, failure, spent, pause_seconds=pause)
            count_summary("retrying", error.code)
            log.warning("summary_postponed", error_code=error.code, again_in_seconds=round(pause, 1))
            return
        summaries.fail(self._database, claim, failure, spent)
        count_summary("failed", error.code)
        log.warning("summary_failed", error_code=error.code, reason=error.message)
        self._ended()

    def _keeping(self, claim: Claim) -> Callable[[], None]:
        """A check that keeps the claim during a call. It raises WorkerStops or SummaryStopped when that is to end.

        A database that does not respond for a while ends no call: if the lease is over then, the token says so.
        """
        kept_at = time.monotonic()

        def check() -> None:
            nonlocal kept_at
            if self.stopping:
                raise WorkerStops
            if time.monotonic() - kept_at > KEEP_SECONDS:
                kept_at = time.monotonic()
                try:
                    summaries.keep(self._database, claim)
                except Unavailable as error:
                    log.warning("summary_not_kept", error_code=error.code, reason=error.message)

        return check


class Making:
    """One attempt at a summary. `advanced`: a section was committed; `unbooked`: tokens of a call without a result."""

    def __init__(self, database: Database, endpoint: ChatEndpoint, claim: Claim, check: Callable[[], None]) -> None:
        self.advanced = False
        self.unbooked = NO_TOKENS
        self._database = database
        self._endpoint = endpoint
        self._claim = claim
        self._check = check
        self._language = claim.wanted.language or ""
        self._prompt = claim.wanted.prompt or ""

    def run(self) -> None:
        """Read on where the last attempt ended, and complete the summary."""
        job = jobs.get(self._database, self._claim.job_id)
        done = summaries.sections_done(self._database, self._claim, 0)
        found = self._read(job, after=done[-1].last if done else -1)
        first = next(found, None)
        self._begin(first.text if first is not None else done[0].text if done else "")
        if first is not None:
            second = next(found, None)
            if not done and second is None:
                self._complete(self._ask(Step("whole"), [first.text]))
                return
            rest = chain([first] if second is None else [first, second], found)
            done += self._summarised(job, rest, begin=len(done))
        self._merge(done)

    def _read(self, job: Job, *, after: int) -> Iterator[TextSection]:
        labels = {speaker.number: speaker.label for speaker in jobs.speakers(self._database, job) or ()}
        spoken = jobs.sentences(self._database, job, after=after)
        channels = job.result.channels if job.result else 1
        # With the longest of the built-in instructions, because the language is not known before the text is read.
        told = tokens_of(instructions(self._prompt or max(BUILT_IN.values(), key=tokens_of), "zh", Step("section", 99)))
        return text_sections(spoken, labels, channels=channels, budget=self._budget(told))

    def _budget(self, told: int) -> int:
        endpoint = self._endpoint
        return max(endpoint.context_tokens - endpoint.max_tokens - told - OVERHEAD_TOKENS, endpoint.context_tokens // 4)

    def _begin(self, content: str) -> None:
        """Decide language and instructions, unless an earlier attempt has. Raises SummaryEmpty."""
        if not content:
            raise SummaryEmpty("the transcript has no text")
        wanted = self._claim.wanted
        self._language = self._language or language_of(content)
        self._prompt = self._prompt or BUILT_IN[wanted.kind, self._language]
        if (wanted.language, wanted.prompt) != (self._language, self._prompt):
            summaries.settle(self._database, self._claim, language=self._language, prompt=self._prompt)

    def _summarised(self, job: Job, found: Iterator[TextSection], *, begin: int) -> Iterator[Section]:
        total_ms = max(job.audio_ms or 0, 1)
        for number, section in enumerate(found, begin):
            reply = self._ask(Step("section", number + 1), [section.text])
            progress = READING_SHARE * min(section.end_ms / total_ms, 1.0)
            yield self._commit(Section(0, number, section.last, reply.text), reply, progress)

    def _merge(self, below: Sequence[Section]) -> None:
        """Merge results, level by level, until those that are left fit into the last call."""
        budget = self._merge_budget()
        level = 0
        while True:
            level += 1
            done = summaries.sections_done(self._database, self._claim, level)
            begin = done[-1].last + 1 if done else 0
            texts = [section.text for section in below[begin:]]
            places = list(groups(texts, budget=budget))
            if not done and len(places) == 1:
                self._complete(self._ask(Step("merge"), texts))
                return
            for number, place in enumerate(places, len(done)):
                reply = self._ask(Step("merge"), texts[place.start : place.stop])
                section = Section(level, number, begin + place.stop - 1, reply.text)
                done.append(self._commit(section, reply, READING_SHARE))
            below = done

    def _merge_budget(self) -> int:
        return self._budget(tokens_of(instructions(self._prompt, self._language, Step("merge"))))

    def _ask(self, step: Step, texts: Sequence[str]) -> Reply:
        self._check()
        system = instructions(self._prompt, self._language, step)
        reply = self._endpoint.ask(system, material(texts, secrets.token_hex(8)), self._check)
        if not reply.text:
            self.unbooked = reply.tokens
            if reply.refused:
                raise SummaryRejected("the model, or a filter of its provider, refused to answer")
            raise SummaryInvalid("the model wrote nothing")
        return reply

    def _commit(self, section: Section, reply: Reply, progress: float) -> Section:
        spent = Spent(self._endpoint.model, reply.tokens)
        # An endpoint may ignore the limit of tokens; two results must fit into one call, or they could not be merged.
        kept = replace(section, text=shortened(section.text, self._merge_budget() // 2))
        cut = reply.truncated or kept != section
        summaries.commit_section(self._database, self._claim, kept, truncated=cut, progress=progress, spent=spent)
        self.advanced = True
        return kept

    def _complete(self, reply: Reply) -> None:
        spent = Spent(self._endpoint.model, reply.tokens)
        summaries.complete(self._database, self._claim, reply.text, truncated=reply.truncated, spent=spent)
