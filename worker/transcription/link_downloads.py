"""Downloads the links of queued jobs in threads of their own, so that a slow server never occupies a slot.

A job whose link is in storage returns to the queue and waits for a slot on any worker. No tenant gets more than half
of a worker's downloads: however slow the servers of its links are, others' links are downloaded meanwhile. A tenant
with twice as many waiting jobs as there are downloads gets one download, and begins about one per second.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from common import jobs
from common.background import Background
from common.db import Database
from common.errors import ParaqueueError
from common.job_states import Stage
from common.jobs import Claim, DownloadLimits, Holder
from common.telemetry import get_logger
from worker.transcription.attempt import Attempts
from worker.transcription.attempt_timer import AttemptTimer
from worker.transcription.fetching.fetcher import Fetcher
from worker.transcription.lease import LeaseKeeper, RunningJob

log = get_logger(__name__)
POLL_SECONDS = 1.0
# Less than the time between two looks, which would otherwise sometimes come too early.
AHEAD_SECONDS = 0.9 * POLL_SECONDS
STOCK_PER_DOWNLOAD = 2


class LinkDownloads(Background):
    """A thread that claims jobs with links when woken, and every second; and a pool of threads that download them."""

    def __init__(
        self,
        database: Database,
        fetcher: Fetcher,
        leases: LeaseKeeper,
        attempts: Attempts,
        *,
        slots: int,
        wake_dispatcher: Callable[[], None],
    ) -> None:
        """`slots` is the number of concurrent downloads; `wake_dispatcher` is called when a job is ready for a slot."""
        super().__init__("link-downloads", every_seconds=POLL_SECONDS)
        self._database = database
        self._fetcher = fetcher
        self._leases = leases
        self._attempts = attempts
        self._slots = slots
        self._tenant_limit = max(1, slots // 2)
        self._ahead_again = 0.0
        self._wake_dispatcher = wake_dispatcher
        self._lock = threading.Lock()
        self._busy: Counter[str] = Counter()
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="download")

    def stop(self) -> None:
        """Claim no more links and wait for the running downloads, which stop when their lease is to be given up."""
        super().stop()
        self._pool.shutdown(wait=True)

    def work(self) -> None:
        """Claim links for the free threads until no link waits or no thread is free."""
        try:
            while not (self.stopping or self._leases.shutting_down) and self._claim():
                pass
        except ParaqueueError as error:
            log.warning("downloads_postponed", error_code=error.code, reason=error.message)

    def _claim(self) -> int:
        """Claim links for the free threads; returns how many."""
        with self._lock:
            busy = Counter(self._busy)
        free = self._slots - busy.total()
        if free <= 0:
            return 0
        holder = Holder(self._attempts.worker, self._attempts.model, self._attempts.lease_seconds)
        claims = jobs.claim_links(self._database, holder, free, downloading=busy, limits=self._limits())
        for claim in claims:
            with self._lock:
                self._busy[claim.job.tenant] += 1
            self._pool.submit(self._run_counted, claim)
        return len(claims)

    def _limits(self) -> DownloadLimits:
        """The limits of the next claim; one per second may download ahead."""
        now = time.monotonic()
        ahead = now >= self._ahead_again
        if ahead:
            self._ahead_again = now + AHEAD_SECONDS
        return DownloadLimits(self._tenant_limit, stock=STOCK_PER_DOWNLOAD * self._slots, ahead=int(ahead))

    def _run_counted(self, claim: Claim) -> None:
        try:
            self.run(claim)
        except Exception:
            log.exception("download_crashed", job_id=claim.job.public_id)
        finally:
            with self._lock:
                self._busy[claim.job.tenant] -= 1
            self.wake()

    def run(self, claim: Claim) -> str:
        """Download the link of a claimed job; returns the outcome."""
        outcome = self._attempts.run(claim, "fetch", self._copied, downloads=True)
        self._wake_dispatcher()
        return outcome

    def _copied(self, hold: RunningJob, course: AttemptTimer) -> str:
        claim = hold.claim
        with course.stage(hold, Stage.FETCHING):
            audio = self._fetcher.copy_link(claim, hold.signal.check)
        self._attempts.persist(lambda: jobs.hand_over(self._database, claim, audio, stage_ms=course.stage_ms))
        return "fetched"
