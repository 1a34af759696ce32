"""Faults of what processes tell one another: too many sweeps, too many messages."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

from celery import Celery

from common import ids
from common.queue import SWEEP, TRANSCRIBE, make_app, transcribe_queue
from tests.faults.processes import freeze, taken_back_in_time
from tests.faults.scene import Fault, Injected, Scene, Struck

SWEEPS = 40
COPIES = 10


def sweep_twice(scene: Scene) -> Injected:
    """A second light worker and a second beat, and sweeps as fast as both can, while a worker's leases run out."""
    with scene.between():
        scene.stack.launch("light-2")
        scene.stack.launch("beat-2")
        scene.stack.wait_ready("light-2", "beat-2")
    scene.load.wait_for_work()
    name = scene.busy_worker()
    sweeper = threading.Thread(target=_sweep_often, args=[scene])
    sweeper.start()
    try:
        return freeze(name, scene)
    finally:
        sweeper.join()
        scene.stack.drop("light-2")
        scene.stack.drop("beat-2")


def _sweep_often(scene: Scene) -> None:
    for _ in range(SWEEPS):
        scene.stack.send_task(SWEEP, count=2)
        time.sleep((scene.stack.settings.lease_seconds + 2) / SWEEPS)


def taken_back_once(scene: Scene, injected: Injected, struck: Struck) -> None:
    """An attempt that was ended twice would show as a loss too many."""
    taken_back_in_time(scene, injected, struck)
    nobody_worked_twice(scene, injected, struck)


def repeat_messages(scene: Scene) -> Injected:
    """Ten times the same message for every job that waits or runs, to both workers at once."""
    began = time.time()
    queue: Celery = make_app(scene.stack.settings)
    jobs = scene.stack.query("SELECT id FROM jobs WHERE status IN ('queued', 'processing')")
    for _ in range(COPIES):
        for (job_id,) in jobs:
            queue.send_task(TRANSCRIBE, args=[ids.shown(ids.JOB, job_id)], queue=transcribe_queue("demo-zh"))
    queue.close()
    return Injected(began, time.time(), {"copies": COPIES * len(jobs)})


def nobody_worked_twice(scene: Scene, injected: Injected, struck: Struck) -> None:  # noqa: ARG001 (as all checks)
    """Between two attempts at a job there was an end."""
    for attempts in struck.attempts.values():
        for earlier, later in pairwise(attempts):
            # Both are the beginnings of transactions, one of which may have waited for the other.
            assert earlier.ended is not None, attempts
            assert earlier.ended < later.started + 0.5, attempts


FAULTS = (
    Fault("two sweepers", "each lease is taken back once", sweep_twice, taken_back_once, clients=True),
    Fault("message ten times", "one claim wins, the others find nothing", repeat_messages, nobody_worked_twice),
)
