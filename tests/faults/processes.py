"""Faults of our own processes: killed, frozen, replaced, with a wrong clock."""

from __future__ import annotations

import signal
import time

from tests.faults.scene import Fault, Injected, Scene, Struck
from tests.waiting import until

SKEW_SECONDS = 60.0


def kill_worker(scene: Scene) -> Injected:
    name = scene.busy_worker()
    began = time.time()
    scene.stack.kill(name)
    scene.stack.launch(name)
    return Injected(began, began)


def taken_back_in_time(_: Scene, injected: Injected, struck: Struck) -> None:
    lost = struck.ended_by(injected, "lost")
    assert lost, "the worker that was killed held no job"
    for attempt in lost:
        assert attempt.ended is not None, attempt
        assert attempt.error_code == "worker_lost"


def freeze_worker(scene: Scene) -> Injected:
    """SIGSTOP until its lease has run out and its jobs have been taken back, then SIGCONT."""
    return freeze(scene.busy_worker(), scene)


def freeze(name: str, scene: Scene) -> Injected:
    """The same for a worker of this name."""
    process = scene.stack.children[name].process

    def holds_jobs() -> bool:
        rows = scene.stack.query("SELECT lease_worker FROM jobs WHERE status = 'processing'")
        return str(process.pid) in {worker.split("-")[-2] for (worker,) in rows}

    began = time.time()
    process.send_signal(signal.SIGSTOP)
    try:
        time.sleep(scene.stack.settings.lease_seconds + scene.rng.uniform(0.5, 2))
        until(lambda: not holds_jobs(), what="the sweep did not take the jobs of the frozen worker back")
    finally:
        process.send_signal(signal.SIGCONT)
    return Injected(began, began)


def kill_api(scene: Scene) -> Injected:
    scene.load.wait_for_streaming()
    began = time.time()
    scene.stack.kill("api")
    scene.stack.launch("api")
    scene.stack.wait_ready("api")
    return Injected(began, began)


def kill_light(scene: Scene) -> Injected:
    began = time.time()
    scene.stack.kill("light")
    scene.stack.launch("light")
    return Injected(began, began)


def kill_beat(scene: Scene) -> Injected:
    """It stays away for a while: no sweeps run, and everything else continues."""
    began = time.time()
    scene.stack.kill("beat")
    scene.outage()
    scene.stack.launch("beat")
    return Injected(began, time.time())


def rolling_restart(scene: Scene) -> Injected:
    """A deployment: every process that runs tasks is asked to end in turn, and a new one is started."""
    names = list(scene.stack.workers)
    scene.rng.shuffle(names)
    scene.load.wait_for_work(on_worker=names[0])
    names.insert(scene.rng.randint(1, len(names)), "light")
    codes = {}
    began = time.time()
    for name in names:
        codes[name] = scene.stack.replace(name)
        scene.enough()
        scene.stack.wait_ready(name)
    return Injected(began, began, {"codes": codes})


def handed_back(scene: Scene, injected: Injected, struck: Struck) -> None:  # noqa: ARG001 (the form of all checks)
    assert set(injected.facts["codes"].values()) == {0}
    assert struck.ended_by(injected, "released"), "no worker had a job to hand back"
    assert not struck.ended_by(injected, "retrying", "failed"), "a deployment counted as a failed attempt"


def skew_clocks(scene: Scene) -> Injected:
    """One worker's clock is a minute fast and the light worker's a minute slow, while another worker is frozen."""
    with scene.between():
        scene.stack.replace("worker-2", skew_seconds=SKEW_SECONDS)
        scene.stack.replace("light", skew_seconds=-SKEW_SECONDS)
        scene.stack.wait_ready("worker-2", "light")
    scene.load.wait_for_work(on_worker="worker-2")
    scene.enough()
    skewed = scene.stack.children["worker-2"].process.pid
    injected = freeze("worker-1", scene)
    scene.stack.replace("worker-2")
    scene.stack.replace("light")
    scene.stack.wait_ready("worker-2", "light")
    return Injected(injected.began, injected.over, {"skewed_pid": skewed})


def skewed_kept_theirs(scene: Scene, injected: Injected, struck: Struck) -> None:  # noqa: ARG001 (as above)
    """By the clock of either of the two, every lease would be over at once, or none for a minute."""
    pid = injected.facts["skewed_pid"]
    lost = [attempt for attempt in struck.ended_by(injected, "lost") if f"-{pid}-" in attempt.worker]
    assert not lost, f"the worker whose clock is fast lost a lease: {lost}"


FAULTS = (
    Fault(
        "worker killed", "its jobs are taken back after lease and sweep", kill_worker, taken_back_in_time, clients=True
    ),
    Fault(
        "worker frozen",
        "what it writes after its lease changes nothing",
        freeze_worker,
        taken_back_in_time,
        clients=True,
    ),
    Fault("API killed", "uploads under way are not accepted, all else goes on", kill_api, clients=True),
    Fault("light worker killed", "sweeps and webhooks go on when it is back", kill_light),
    Fault("beat killed", "nothing is swept until it is back", kill_beat),
    Fault("rolling restart", "jobs are handed back after the current part", rolling_restart, handed_back, clients=True),
    Fault("clocks apart", "times come from PostgreSQL only", skew_clocks, skewed_kept_theirs, clients=True),
)
