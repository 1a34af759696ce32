"""Holding jobs: one thread renews all leases of a worker and brings back who asked for what."""

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


class RunningJob:
    """A claimed job while it runs: how far it is, and whether it should stop."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.stage = Stage.FETCHING
        self.processed_ms = claim.resume.end_ms if claim.resume else 0
        self.declared_ms: int | None = None
        self.progressed = False  # whether this attempt has committed a part
        self.signal = StopSignal()

    def progress(self) -> Progress:
        """What the next renewal tells the database."""
        return Progress(self.claim.token, self.stage, self.processed_ms, self.declared_ms)


class LeaseKeeper:
    """Renews the leases of all running jobs of this worker, every second or so, with one UPDATE."""

    def __init__(
        self,
        database: Database,
        worker: Worker,
        *,
        lease_seconds: float,
        renew_seconds: float,
        on_drain: Callable[[Drain | None, int], None] = lambda _drain, _running: None,
    ) -> None:
        """`on_drain` hears, with each renewal, what an operator asked of the worker, and how many jobs run."""
        self._database = database
        self._on_drain = on_drain
        self._worker = worker
        self._lease_seconds = lease_seconds
        self._renew_seconds = renew_seconds
        self._holds: dict[uuid.UUID, RunningJob] = {}
        self._shutting_down = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._silent = False
        self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)

    def start(self) -> None:
        """Say that the worker is ready, and begin renewing. A database that is away is told a second later."""
        self._renew_or_say()
        self._thread.start()

    def shut_down(self) -> None:
        """Ask every job, also one that is claimed later, to commit what it has and stop."""
        with self._lock:
            self._shutting_down = True
            holds = list(self._holds.values())
        for hold in holds:
            hold.signal.request(StopReason.SHUTDOWN)

    def abandon(self) -> None:
        """Ask every job to stop, and renew no lease any more: this process cannot finish any job."""
        self.shut_down()
        self._ended.set()

    def end(self) -> None:
        """Stop renewing, when no job runs any more."""
        self._ended.set()
        if self._thread.ident is not None:
            self._thread.join(timeout=10)

    def running(self) -> int:
        """How many jobs this worker holds now."""
        with self._lock:
            return len(self._holds)

    @contextmanager
    def hold(self, claim: Claim) -> Iterator[RunningJob]:
        """Keep a job's lease for as long as the context lasts."""
        hold = RunningJob(claim)
        with self._lock:
            self._holds[claim.token] = hold
            if self._shutting_down:
                hold.signal.request(StopReason.SHUTDOWN)
        try:
            yield hold
        finally:
            with self._lock:
                self._holds.pop(claim.token, None)

    def _run(self) -> None:
        while not self._ended.wait(self._renew_seconds):
            self._renew_or_say()

    def _renew_or_say(self) -> None:
        with self._lock:
            holds = dict(self._holds)
        try:
            self._renew(holds)
        except ParaqueueError as error:
            # Work goes on: the database may be back before the leases run out, and a commit
            # after that changes nothing.
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
        told = [hold.progress() for hold in holds.values()]
        renewal = jobs.renew(
            self._database,
            self._worker,
            told,
            lease_seconds=self._lease_seconds,
            draining=self._shutting_down,
        )
        for token, hold in holds.items():
            if token not in renewal.held:
                # It may just have ended; then nobody asks this hold any more.
                hold.signal.request(StopReason.LOST)
                if jobs.forgive_crash(self._database, hold.claim.job.id, token):
                    log.warning("lease_was_lost", job_id=hold.claim.job.public_id)
            elif renewal.held[token]:
                hold.signal.request(StopReason.CANCELED)
        self._on_drain(renewal.drain, len(told))
