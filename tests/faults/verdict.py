"""What must hold when all is quiet again, whatever went wrong before."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from common import ids
from common.queue import CLEAN
from tests.e2e.service import processes_of, without_confidence
from tests.faults.load import Load
from tests.faults.stack import Stack
from worker.engine.decoding.fork_server import SERVER_NAME

QUIET_SECONDS = 240.0
CLEAN_SECONDS = 120.0
A_DAY_SECONDS = 25 * 3600


@dataclass(frozen=True)
class Verdict:
    """What is wrong; empty lists where nothing is."""

    jobs: int
    lost: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    webhooks_lost: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)

    def complaints(self) -> dict[str, list[str]]:
        """What is wrong, by kind."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__ if name != "jobs"}
        return {name: items for name, items in named.items() if items}


def settle(stack: Stack, load: Load) -> None:
    """Let everything run out: no job, no webhook under way."""
    load.keep(0)
    stack.heal()
    waiting = (
        "SELECT (SELECT count(*) FROM jobs WHERE finished_at IS NULL),"
        " (SELECT count(*) FROM deliveries WHERE status = 'pending')"
    )
    _eventually(lambda: not load.submitting and stack.query(waiting) == [(0, 0)], "jobs and webhooks do not end")


def verdict(stack: Stack, load: Load, *, since: int = 0) -> Verdict:
    """Look at every job but the first `since`, and at what is left of the processes. Call it after `settle`."""
    rows = stack.query("SELECT id, tags, status, error_code FROM jobs WHERE tags <> '{}' ORDER BY created_at")[since:]
    known = {ids.shown(ids.JOB, job_id) for job_id, *_ in rows}
    lost = [f"{job_id} was accepted and is not there" for job_id in load.accepted if since == 0 and job_id not in known]
    lost += [f"{job_id} {status} {code}" for job_id, _, status, code in rows if status != "completed"]
    done = {ids.shown(ids.JOB, job_id): tags[0] for job_id, tags, status, _ in rows if status == "completed"}
    return Verdict(
        jobs=len(rows),
        lost=lost,
        differing=[job_id for job_id, name in done.items() if not _is_the_same(stack, load, job_id, name)],
        webhooks_lost=_missing_webhooks(stack, list(known)),
        orphans=orphans(stack),
        left_behind=_left_behind(stack),
        stuck=_stuck(stack),
    )


def _is_the_same(stack: Stack, load: Load, job_id: str, name: str) -> bool:
    return tuple(without_confidence(stack.sentences(job_id))) == load.files[name].sentences


def _missing_webhooks(stack: Stack, jobs: list[str]) -> list[str]:
    """Each job's end arrived at least once, and always under one id. The receiver has checked the signatures."""
    notified: dict[str, Counter[str]] = {}
    for message in stack.receiver.taken():
        notified.setdefault(message.data["id"], Counter())[message.id] += 1
    return [f"{job_id} {dict(notified.get(job_id, {}))}" for job_id in jobs if len(notified.get(job_id, {})) != 1]


def orphans(stack: Stack) -> list[str]:
    """Processes left behind by a dead one."""
    living = {child.process.pid for child in stack.children.values() if child.running}
    return processes_of(stack.sessions - living)


def _idle_children(stack: Stack) -> list[str]:
    """Processes that a worker without a job still has, beside its fork server: a decoder of an attempt that is over."""
    pids = {stack.children[name].process.pid for name in stack.workers}
    own = ("worker.transcription", f"{SERVER_NAME.decode()}: ")
    return [line for line in processes_of(pids) if not any(part in line for part in own)]


def _left_behind(stack: Stack) -> list[str]:
    leftovers: list[str] = []

    def look() -> bool:
        leftovers[:] = [*_idle_children(stack), *_scratch(stack)]
        return not leftovers

    _eventually(look, "", seconds=CLEAN_SECONDS)
    return leftovers + _storage(stack)


def _scratch(stack: Stack) -> list[str]:
    """Of each living worker, the light one too, there is a directory with a lock, and nothing else."""
    living = [f"-{stack.children[name].process.pid}-" for name in (*stack.workers, "light")]
    scratch = stack.settings.scratch_dir

    def belongs(path: Path) -> bool:
        owner, *below = path.relative_to(scratch).parts
        return any(mark in owner for mark in living) and below in ([], ["lock"])

    return [str(path) for path in _below(scratch) if not belongs(path)]


def _below(root: Path) -> list[Path]:
    """All that lies below a directory. Unlike glob, it bears that a directory is deleted while it is being listed."""
    return [Path(place) / name for place, *names in os.walk(root) for some in names for name in some]


def _storage(stack: Stack) -> list[str]:
    """What an API that was killed left half written goes a day later: its time is set back, and `clean` asked for."""
    if stack.storage != "disk":
        return []
    root = Path(stack.settings.storage_url.removeprefix("file:"))

    def unwanted() -> list[Path]:
        files = [path for path in _below(root / "audio") if path.parent.parent == root / "audio"]
        # Asked each time: a job whose client gave up may still be accepted, by a server that was frozen or late.
        jobs = {job_id.hex for (job_id,) in stack.query("SELECT id FROM jobs")}
        return _below(root / ".incoming") + [path for path in files if path.parent.name not in jobs]

    for path in unwanted():
        old = time.time() - A_DAY_SECONDS
        with suppress(FileNotFoundError):  # such a server has just moved it into place
            os.utime(path, (old, old))
    if unwanted():
        stack.send_task(CLEAN)
        _eventually(lambda: not unwanted(), "", seconds=CLEAN_SECONDS)
    return [str(path) for path in unwanted()]


def _stuck(stack: Stack) -> list[str]:
    held = stack.query("SELECT id, status FROM jobs WHERE lease_token IS NOT NULL OR lease_expires_at IS NOT NULL")
    open_attempts = stack.query("SELECT job_id, number FROM attempts WHERE ended_at IS NULL OR outcome IS NULL")
    dead = stack.query("SELECT id, error FROM deliveries WHERE status <> 'delivered'")
    return [str(row) for row in [*held, *open_attempts, *dead]]


def _eventually(holds: Callable[[], bool], what: str, seconds: float = QUIET_SECONDS) -> None:
    """Wait for it; without `what` it is the caller who says that it never came."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            assert not what, what
            return
        time.sleep(0.1)
