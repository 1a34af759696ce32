"""One fault under load, and how long what it struck took to recover."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.faults.scene import Attempt, Fault, Injected, Scene, Struck

RECOVERED_SECONDS = 240.0
AT_A_RANDOM_MOMENT = (0.0, 1.5)
BROKEN_OFF = {"lost", "released", "retrying"}


@dataclass(frozen=True)
class Round:
    """A fault that was survived."""

    fault: str
    injected: Injected
    struck: Struck

    @property
    def recovery_seconds(self) -> float | None:
        """Until all that the fault struck went on; None where it struck nothing."""
        return max(self.struck.recovery_seconds.values(), default=None)


def cause(fault: Fault, scene: Scene, *, alone: bool) -> Round:
    """Cause it in the middle of work at a random moment, and wait until all that it struck has ended.

    `alone`: no more work comes than the fault needs.
    """
    scene.stack.heal()
    scene.load.wait_for_work()
    time.sleep(scene.rng.uniform(*AT_A_RANDOM_MOMENT))
    scene.load.wait_for_work()
    if alone and not fault.clients:
        scene.load.keep(0)
    injected = fault.inject(scene)
    if alone:
        scene.load.keep(0)
    scene.stack.heal()
    there = _unfinished_at(scene, injected.began)
    _wait_for_the_end(scene, there)
    struck = _struck(scene, there, injected)
    fault.check(scene, injected, struck)
    return Round(fault.name, injected, struck)


def _unfinished_at(scene: Scene, moment: float) -> list[str]:
    rows = scene.stack.query_when_possible(
        "SELECT id FROM jobs WHERE created_at <= to_timestamp(%s)"
        " AND (finished_at IS NULL OR finished_at > to_timestamp(%s))",
        moment,
        moment,
    )
    return [str(job_id) for (job_id,) in rows]


def _wait_for_the_end(scene: Scene, jobs: list[str]) -> None:
    deadline = time.monotonic() + RECOVERED_SECONDS
    while True:
        left = scene.stack.query_when_possible(
            "SELECT id, status, attempts FROM jobs WHERE id = ANY(%s::uuid[]) AND finished_at IS NULL", jobs
        )
        if not left:
            return
        assert time.monotonic() < deadline, f"still not ended: {left}; the logs are in {scene.stack.logs}"
        time.sleep(0.1)


def _struck(scene: Scene, there: list[str], injected: Injected) -> Struck:
    """Of the jobs that were there before, those that somebody worked on when it happened, or that it kept waiting."""
    jobs: dict[str, list[Attempt]] = {}
    for row in scene.stack.query(
        "SELECT job_id, number, worker, extract(epoch FROM started_at)::float, extract(epoch FROM ended_at)::float,"
        " outcome, error_code, resumed_ms FROM attempts WHERE job_id = ANY(%s::uuid[]) ORDER BY job_id, started_at",
        there,
    ):
        jobs.setdefault(str(row[0]), []).append(Attempt(str(row[0]), *row[1:]))
    took = {job_id: _recovery(scene, attempts, injected) for job_id, attempts in jobs.items()}
    return Struck(jobs, {job_id: seconds for job_id, seconds in took.items() if seconds is not None})


def _recovery(scene: Scene, attempts: list[Attempt], injected: Injected) -> float | None:
    """Seconds from the end of the fault until the job went on: a new attempt where it broke one off, else the
    next part or the end. None where nobody worked on it."""
    running = [item for item in attempts if item.started <= injected.began < (item.ended or 0)]
    if not running:
        return None
    first = running[0]
    if first.outcome in BROKEN_OFF:
        later = [item.started for item in attempts if item.started >= (first.ended or 0) - 0.5 and item is not first]
        expected = max(injected.over, (first.ended or 0) if first.outcome == "released" else 0)
        return max(0.0, min(later) - expected)
    went_on = scene.stack.query(
        "SELECT extract(epoch FROM min(at))::float FROM ("
        " SELECT created_at AS at FROM parts WHERE job_id = %s UNION ALL"
        " SELECT finished_at FROM jobs WHERE id = %s) AS progress WHERE at > to_timestamp(%s)",
        first.job_id,
        first.job_id,
        injected.over,
    )[0][0]
    return 0.0 if went_on is None else max(0.0, went_on - injected.over)
