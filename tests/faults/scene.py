"""What every fault is given, and what it says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.faults.load import Load
from tests.faults.stack import Stack


@dataclass
class Scene:
    """A stack under load, and the random numbers of this run."""

    stack: Stack
    load: Load
    rng: Random
    seed: int

    def outage(self) -> None:
        """Something stays away for as long as the settings of the stack say."""
        time.sleep(self.stack.outage_seconds)

    def busy_worker(self) -> str:
        """The name of a GPU worker that holds a job now, a random one of them."""
        holders = self.stack.query("SELECT DISTINCT lease_worker FROM jobs WHERE status = 'processing'")
        pids = {worker.split("-")[-2] for (worker,) in holders}
        names = [name for name, child in self.stack.children.items() if str(child.process.pid) in pids]
        assert names, "no worker holds a job"
        return self.rng.choice(sorted(names))


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
    """What came of the jobs that were being worked on when a fault struck: their attempts, oldest first."""

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
