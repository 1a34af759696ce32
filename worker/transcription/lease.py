"""Lease renewal: one thread renews all leases of a worker and collects stop and drain requests."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from common import jobs
from common.db import Database
from common.errors import ParaqueueError
from common.job_states import Stage
from common.jobs import Claim, Drain, Progress, Worker
from common.telemetry import get_logger
from worker.metrics import RENEWAL_FAILURES
from worker.transcription.stop import StopReason, StopSignal

log = get_logger(__name__)
# A renewal also reports progress and collects cancellations, so it must be frequent even if leases are long.
RENEW_SECONDS = 1.0
RENEWALS_PER_LEASE = 6


class RunningJob:
    """A claimed job while it runs: its progress, and whether it should stop."""

    def __init__(self, claim: Claim, *, downloads: bool = False) -> None:
        self.claim = claim
        self.downloads = downloads  # whether this attempt only downloads the job's link, and takes no slot
        self.stage = Stage.FETCHING
        self.processed_ms = claim.resume.end_ms if claim.resume else 0
        self.declared_ms: int | None = None
        self.progressed = False  # whether this attempt has committed a part
        self.signal = StopSignal()

    def progress(self) -> Progress:
        """The progress that the next renewal writes to the database."""
        return Progress(self.claim.token, self.stage, self.processed_ms, self.declared_ms)


class LeaseKeeper:
    """Renews the leases of all running jobs of this worker, every second or so, with one UPDATE."""

    def __init__(
        self,
        database: Database,
        worker: Worker,
        *,
        lease_seconds: float,
        on_drain: Callable[[Drain | None, int], None] = lambda _drain, _running: None,
        renew_seconds: float = RENEW_SECONDS,
    ) -> None:
        """`on_drain` is called at each renewal with the drain request, if any, and the number of running jobs.

        A renewal takes place every `renew_seconds`, or more often if leases are short.
        """
        self._database = database
        self._on_drain = on_drain
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._renew_seconds = min(renew_seconds, lease_seconds / RENEWALS_PER_LEASE)
        self._holds: dict[uuid.UUID, RunningJob] = {}
        self._shutting_down = False
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._ended = threading.Event()
        self._silent = False
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Report the worker as ready and start renewing; if the database is unavailable, report it a second later."""
        self._renew_or_say()
        self._thread.start()

    def shut_down(self) -> None:
        """Request every job, including jobs claimed later, to commit what it has and stop."""
        with self._lock:
            self._shutting_down = True
            holds = list(self._holds.values())
        for hold in holds:
            hold.signal.request(StopReason.SHUTDOWN)

    def abandon(self) -> None:
        """Request every job to stop and renew no more leases: this process cannot finish any job."""
        self.shut_down()
        self._ended.set()

    def end(self) -> None:
        """Stop renewing once no job is running."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    @property
    def shutting_down(self) -> bool:
        """Whether jobs that are claimed now would stop at once."""
        return self._shutting_down

    def running(self, *, downloads: bool = False) -> int:
        """The number of jobs that take a slot of this worker now, or of those whose links it downloads."""
        with self._lock:
            return sum(hold.downloads == downloads for hold in self._holds.values())

    @contextmanager
    def hold(self, claim: Claim, *, downloads: bool = False) -> Iterator[RunningJob]:
        """Keep a job's lease renewed while the context is open."""
        hold = RunningJob(claim, downloads=downloads)
        with self._lock:
            self._holds[claim.token] = hold
            if self._shutting_down:
                hold.signal.request(StopReason.SHUTDOWN)
        try:
            yield hold
        finally:
            with self._lock:
                self._holds.pop(claim.token, None)

    def let_go(self, claim: Claim) -> None:
        """Stop renewing a job's lease while its context is still open; returns when no renewal of it is under way."""
        with self._lock:
            self._holds.pop(claim.token, None)
        with self._renewing:  # a renewal that began before may still extend the lease
            pass

    def forgive(self, hold: RunningJob) -> None:
        """Report that this worker is alive although the lease of its job was lost: the job did not crash it."""
        claim = hold.claim
        if not hold.downloads and jobs.forgive_crash(self._database, claim.job.id, claim.token):
            log.warning("lease_was_lost", job_id=claim.job.public_id)

    def _run(self) -> None:
        while not self._ended.wait(self._renew_seconds):
            self._renew_or_say()

    def _renew_or_say(self) -> None:
        try:
            with self._renewing:
                with self._lock:
                    holds = dict(self._holds)
                self._renew(holds)
        except ParaqueueError as error:
            # Jobs continue: the database may be back before the leases run out, and a later commit changes nothing.
            RENEWAL_FAILURES.inc()
            if not self._silent:
                log.warning("renewal_failed", error_code=error.code, reason=error.message)
            self._silent = True
        except Exception:
            RENEWAL_FAILURES.inc()
            log.exception("renewal_crashed")
        else:
            if self._silent:
                log.info("renewal_works_again")
            self._silent = False

    def _renew(self, holds: dict[uuid.UUID, RunningJob]) -> None:
        progress = [hold.progress() for hold in holds.values()]
        renewal = jobs.renew(
            self._database,
            self._worker,
            progress,
            lease_seconds=self._lease_seconds,
            draining=self._shutting_down,
        )
        for token, hold in holds.items():
            if token not in renewal.held:
                # The job may just have ended; then this signal is no longer checked.
                hold.signal.request(StopReason.LOST)
                self.forgive(hold)
            elif renewal.held[token]:
                hold.signal.request(StopReason.CANCELED)
        self._on_drain(renewal.drain, len(progress))
