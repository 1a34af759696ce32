"""One round of the test: what the well-behaved tenant measured while the other did something, or nothing."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from bench.machine import REPOSITORY
from bench.misbehave.generator import Orders, Outcome
from bench.misbehave.good import GoodTenant, Samples
from bench.misbehave.stack import Installation

LEAD_SECONDS = 2.0
PART_SENTENCES = 20_000
FEW_SENTENCES = 10
BARRED = {"submit": "submit", "poll": "poll", "clip_to_text": "clip to text"}
MEASURES = BARRED | {"queued": "of it queued", "running": "of it running"}


@dataclass(frozen=True)
class Round:
    """The measurements of one round: processor time by process, in cores, and the answers that the other tenant got."""

    name: str
    samples: Samples
    cores: dict[str, float]
    answers: dict[str, int] = field(default_factory=dict)
    load: float = 0.0


class NothingMeasured(Exception):
    """A round in which there was nothing to compare: its report would look like one of a service that holds."""


def check_measured(made: Round, kinds: Sequence[str]) -> None:
    """Raise NothingMeasured unless clips became text in a round, and all these kinds of misbehaviour were answered."""
    samples = made.samples
    missing = [title for name, title in BARRED.items() if not getattr(samples, name)]
    if missing:
        raise NothingMeasured(f"{made.name}: no {', no '.join(missing)} was measured; wrong: {samples.wrong[:3]}")
    if len(samples.wrong) >= len(samples.submit):
        raise NothingMeasured(f"{made.name}: no clip became text; wrong: {samples.wrong[:3]}")
    if kinds and not made.answers:
        raise NothingMeasured(f"{made.name}: the misbehaving tenant got no answer")


@dataclass
class Rounds:
    """Runs rounds one after the other; each has a misbehaving tenant of its own, whose limits are unused."""

    installation: Installation
    tenant: GoodTenant
    clip: str
    seconds: float
    done: list[Round] = field(default_factory=list)

    def run(self, name: str, kinds: list[str], *, sink: bool = False) -> Round:
        """Run a round in which a new tenant misbehaves in these ways, against the service or against nothing.

        Raises NothingMeasured.
        """
        other = f"other-{len(self.done)}"
        with self._target(sink) as port:
            orders = Orders(port, self.installation.new_key(other), self._transcript(other, kinds), kinds, self.clip)
            generator = _started("generator", asdict(orders)) if kinds else None
            time.sleep(LEAD_SECONDS if kinds else 0)
            before, began = self.installation.cpu_seconds(), time.perf_counter()
            samples = asyncio.run(self.tenant.work(self.seconds))
            took = time.perf_counter() - began
            after = self.installation.cpu_seconds()
            outcome = _ended(generator) if generator is not None else Outcome({}, 0.0, 1.0)
        cores = {process: (after[process] - before[process]) / took for process in after}
        cores["generator"] = outcome.cpu_seconds / outcome.seconds
        if kinds and not sink:
            self.installation.clear(other)
        made = Round(name, samples, cores, outcome.answers, os.getloadavg()[0])
        check_measured(made, kinds)
        self.done.append(made)
        return made

    def _transcript(self, tenant: str, kinds: list[str]) -> str:
        many = bool({"searches", "drips"} & set(kinds))
        return self.installation.seed(tenant, PART_SENTENCES if many else FEW_SENTENCES)

    @contextmanager
    def _target(self, sink: bool) -> Iterator[int]:
        if not sink:
            yield self.installation.port
            return
        process = _process("sink")
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.communicate(timeout=30)


def _process(module: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", f"bench.misbehave.{module}"]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _started(module: str, orders: dict[str, object]) -> subprocess.Popen[str]:
    process = _process(module)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(orders) + "\n")
    process.stdin.flush()
    json.loads(process.stdout.readline())
    return process


def _ended(process: subprocess.Popen[str]) -> Outcome:
    output, _ = process.communicate(timeout=60)
    if process.returncode != 0:
        raise RuntimeError(f"the load generator ended with {process.returncode}")
    return Outcome(**json.loads(output))
