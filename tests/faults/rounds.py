"""One fault under load, and how long the affected jobs took to recover."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from tests.faults.scene import Attempt, Fault, Injected, Scene, Struck

RECOVERED_SECONDS = 240.0
AT_A_RANDOM_MOMENT = (0.0, 1.5)
NOT_YET = math.inf
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


def cause(fault: Fault, scene: Scene) -> Round:
    """Cause the fault at a random moment during work, and wait until all affected jobs have continued."""
    scene.stack.heal()
    scene.load.wait_for_work()
    time.sleep(scene.rng.uniform(*AT_A_RANDOM_MOMENT))
    scene.load.wait_for_work()
    if not fault.clients:
        scene.enough()
    injected = fault.inject(scene)
    scene.enough()
    scene.stack.heal()
    struck = _recovered(scene, injected)
    fault.check(scene, injected, struck)
    return Round(fault.name, injected, struck)


def _recovered(scene: Scene, injected: Injected) -> Struck:
    deadline = time.monotonic() + RECOVERED_SECONDS
    while True:
        struck = _struck(scene, injected)
        waiting = [job_id for job_id, seconds in struck.recovery_seconds.items() if seconds == NOT_YET]
        if not waiting:
            return struck
        assert time.monotonic() < deadline, f"nobody went on with {waiting}; the logs are in {scene.stack.logs}"
        time.sleep(0.1)


def _struck(scene: Scene, injected: Injected) -> Struck:
    """Those of the given jobs that were being processed at that moment."""
    jobs: dict[str, list[Attempt]] = {}
    for job_id, *values in scene.stack.query_when_possible(
        "SELECT job_id, number, worker, extract(epoch FROM started_at)::float, extract(epoch FROM ended_at)::float,"
        " outcome, error_code, resumed_ms FROM attempts WHERE job_id IN (SELECT id FROM jobs"
        "  WHERE created_at <= to_timestamp(%s) AND (finished_at IS NULL OR finished_at > to_timestamp(%s)))"
        " ORDER BY job_id, started_at",
        injected.began,
        injected.began,
    ):
        jobs.setdefault(str(job_id), []).append(Attempt(str(job_id), *values))
    took = {job_id: _recovery(scene, attempts, injected) for job_id, attempts in jobs.items()}
    return Struck(jobs, {job_id: seconds for job_id, seconds in took.items() if seconds is not None})


def _recovery(scene: Scene, attempts: list[Attempt], injected: Injected) -> float | None:
    """Seconds from the end of the fault until the job went on: a new attempt where it broke one off, else the
    next part or the end. None where nobody worked on it, NOT_YET where nobody has gone on."""
    running = [item for item in attempts if item.started <= injected.began < (item.ended or NOT_YET)]
    if not running:
        return None
    first = running[0]
    if first.ended is not None and first.outcome in BROKEN_OFF:
        later = [item.started for item in attempts if item.number > first.number]
        expected = max(injected.over, first.ended if first.outcome == "released" else 0.0)
        return max(0.0, min(later, default=NOT_YET) - expected)
    if first.ended is not None and first.ended <= injected.over:
        return 0.0
    went_on = scene.stack.query_when_possible(
        "SELECT extract(epoch FROM min(at))::float FROM ("
        " SELECT created_at AS at FROM parts WHERE job_id = %s UNION ALL"
        " SELECT finished_at FROM jobs WHERE id = %s) AS progress WHERE at > to_timestamp(%s)",
        first.job_id,
        first.job_id,
        injected.over,
    )[0][0]
    return NOT_YET if went_on is None else max(0.0, went_on - injected.over)
