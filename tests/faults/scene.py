"""The environment of a fault, and the values it reports."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.faults.load import Load
from tests.faults.stack import Stack

BUSY_SECONDS = 180.0


@dataclass
class Scene:
    """A stack under load, and the random numbers of this run. `alone`: no more work comes than a fault needs."""

    stack: Stack
    load: Load
    rng: Random
    seed: int
    alone: bool = False

    def enough(self) -> None:
        """The fault's dependencies are available."""
        if self.alone:
            self.load.keep(0)

    @contextmanager
    def between(self) -> Iterator[None]:
        """While something is prepared that takes long, no work is needed."""
        wanted = self.load.wanted
        assert wanted, "whoever prepares something needs clients, or no work is left when it is ready"
        self.enough()
        yield
        self.load.keep(wanted)

    def outage(self) -> None:
        """Something stays away for as long as the settings of the stack say."""
        time.sleep(self.stack.outage_seconds)

    def busy_worker(self) -> str:
        """The name of a GPU worker, a random one, that has a job whose end is not near."""
        deadline = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < deadline:
            holders = self.stack.query(
                "SELECT DISTINCT lease_worker FROM jobs WHERE status = 'processing' AND processed_ms < declared_ms / 2"
            )
            pids = {worker.split("-")[-2] for (worker,) in holders}
            names = [name for name in self.stack.workers if str(self.stack.children[name].process.pid) in pids]
            if names:
                self.enough()
                return self.rng.choice(names)
            time.sleep(0.02)
        raise AssertionError("no worker is in the middle of a job")


@dataclass(frozen=True)
class Injected:
    """A fault that happened. Times are those of this machine's clock, which is the database's too.

    `began` is when it struck, `over` from when on recovery is expected: at once for a process that was killed,
    after the outage for a server that was away.
    """

    began: float
    over: float
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Attempt:
    """One try of a worker, as the database has it."""

    job_id: str
    number: int
    worker: str
    started: float
    ended: float | None
    outcome: str | None
    error_code: str | None
    resumed_ms: int


@dataclass(frozen=True)
class Struck:
    """The attempts of the jobs that were being processed when the fault occurred, oldest first."""

    attempts: dict[str, list[Attempt]]
    recovery_seconds: dict[str, float]

    def ended_by(self, injected: Injected, *outcomes: str) -> list[Attempt]:
        """The attempts that ended so after the fault began."""
        return [
            item
            for attempts in self.attempts.values()
            for item in attempts
            if item.outcome in outcomes and (item.ended or 0) > injected.began
        ]


def nothing_more(scene: Scene, injected: Injected, struck: Struck) -> None:
    """No more than what holds after every fault."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    `inject` causes it and ends it again; what it killed, it starts again, as a supervisor would. `check` asserts what
    this fault in particular must have led to; `means` says that in a sentence. `clients`: it needs somebody who
    submits while it lasts.
    """

    name: str
    means: str
    inject: Callable[[Scene], Injected]
    check: Callable[[Scene, Injected, Struck], None] = nothing_more
    storage: str = "any"
    clients: bool = False
